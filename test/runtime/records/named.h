// Names a struct that nothing else of the object holds.
struct event;
struct event *event_named_for_btf __attribute__((used));
