/**
 * Types of the kernel's UAPI that packet filters and their like work on, for where no BTF of a kernel is at hand, or has no such type.
 * Layouts are Linux 6.18's for 64-bit machines; the kernel only ever adds members.
 */

/** Names of integers and what C's own headers add. */
const basicTypes: string = `
typedef unsigned long size_t, uintptr_t, uintmax_t, ulong, __kernel_size_t, __kernel_ulong_t;
typedef long ssize_t, ptrdiff_t, intptr_t, intmax_t, time_t, clock_t, off_t, loff_t, __kernel_long_t, __kernel_time_t;
typedef _Bool bool;
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long int64_t;
typedef unsigned char uint8_t, u_int8_t, u_char, uchar; typedef unsigned short uint16_t, u_int16_t, u_short, ushort;
typedef unsigned int uint32_t, u_int32_t, u_int, uint; typedef unsigned long uint64_t, u_int64_t, u_long;
typedef int pid_t, clockid_t, key_t, wchar_t; typedef unsigned int uid_t, gid_t, dev_t, socklen_t, in_addr_t, gfp_t, fmode_t;
typedef unsigned short umode_t, mode_t, sa_family_t, __kernel_sa_family_t, in_port_t; typedef unsigned long ino_t, sector_t;
`;

/** Contexts of programs, and what helpers take and give. */
const bpfTypes: string = `
struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };
struct bpf_lpm_trie_key { __u32 prefixlen; __u8 data[0]; };
struct bpf_lpm_trie_key_hdr { __u32 prefixlen; };
struct bpf_lpm_trie_key_u8 { union { struct bpf_lpm_trie_key_hdr hdr; __u32 prefixlen; }; __u8 data[]; };
struct bpf_perf_event_data { struct pt_regs regs; __u64 sample_period; __u64 addr; };
struct xdp_md { __u32 data; __u32 data_end; __u32 data_meta; __u32 ingress_ifindex; __u32 rx_queue_index; __u32
  egress_ifindex; };
struct __sk_buff { __u32 len; __u32 pkt_type; __u32 mark; __u32 queue_mapping; __u32 protocol; __u32 vlan_present;
  __u32 vlan_tci; __u32 vlan_proto; __u32 priority; __u32 ingress_ifindex; __u32 ifindex; __u32 tc_index; __u32
  cb[5]; __u32 hash; __u32 tc_classid; __u32 data; __u32 data_end; __u32 napi_id; __u32 family; __u32 remote_ip4;
  __u32 local_ip4; __u32 remote_ip6[4]; __u32 local_ip6[4]; __u32 remote_port; __u32 local_port; __u32 data_meta;
  union { struct bpf_flow_keys *flow_keys; }; __u64 tstamp; __u32 wire_len; __u32 gso_segs; union { struct bpf_sock
  *sk; }; __u32 gso_size; __u8 tstamp_type; __u64 hwtstamp; };
struct bpf_sock { __u32 bound_dev_if; __u32 family; __u32 type; __u32 protocol; __u32 mark; __u32 priority; __u32
  src_ip4; __u32 src_ip6[4]; __u32 src_port; __be16 dst_port; __u32 dst_ip4; __u32 dst_ip6[4]; __u32 state; __s32
  rx_queue_mapping; };
struct bpf_tcp_sock { __u32 snd_cwnd; __u32 srtt_us; __u32 rtt_min; __u32 snd_ssthresh; __u32 rcv_nxt; __u32
  snd_nxt; __u32 snd_una; __u32 mss_cache; __u32 ecn_flags; __u32 rate_delivered; __u32 rate_interval_us; __u32
  packets_out; __u32 retrans_out; __u32 total_retrans; __u32 segs_in; __u32 data_segs_in; __u32 segs_out; __u32
  data_segs_out; __u32 lost_out; __u32 sacked_out; __u64 bytes_received; __u64 bytes_acked; __u32 dsack_dups; __u32
  delivered; __u32 delivered_ce; __u32 icsk_retransmits; };
struct bpf_sock_tuple { union { struct { __be32 saddr; __be32 daddr; __be16 sport; __be16 dport; } ipv4; struct {
  __be32 saddr[4]; __be32 daddr[4]; __be16 sport; __be16 dport; } ipv6; }; };
struct bpf_sock_addr { __u32 user_family; __u32 user_ip4; __u32 user_ip6[4]; __u32 user_port; __u32 family; __u32
  type; __u32 protocol; __u32 msg_src_ip4; __u32 msg_src_ip6[4]; union { struct bpf_sock *sk; }; };
struct bpf_sock_ops { __u32 op; union { __u32 args[4]; __u32 reply; __u32 replylong[4]; }; __u32 family; __u32
  remote_ip4; __u32 local_ip4; __u32 remote_ip6[4]; __u32 local_ip6[4]; __u32 remote_port; __u32 local_port; __u32
  is_fullsock; __u32 snd_cwnd; __u32 srtt_us; __u32 bpf_sock_ops_cb_flags; __u32 state; __u32 rtt_min; __u32
  snd_ssthresh; __u32 rcv_nxt; __u32 snd_nxt; __u32 snd_una; __u32 mss_cache; __u32 ecn_flags; __u32 rate_delivered;
  __u32 rate_interval_us; __u32 packets_out; __u32 retrans_out; __u32 total_retrans; __u32 segs_in; __u32
  data_segs_in; __u32 segs_out; __u32 data_segs_out; __u32 lost_out; __u32 sacked_out; __u32 sk_txhash; __u64
  bytes_received; __u64 bytes_acked; union { struct bpf_sock *sk; }; union { void *skb_data; }; union { void
  *skb_data_end; }; __u32 skb_len; __u32 skb_tcp_flags; __u64 skb_hwtstamp; };
struct sk_msg_md { union { void *data; }; union { void *data_end; }; __u32 family; __u32 remote_ip4; __u32
  local_ip4; __u32 remote_ip6[4]; __u32 local_ip6[4]; __u32 remote_port; __u32 local_port; __u32 size; union {
  struct bpf_sock *sk; }; };
struct sk_reuseport_md { union { void *data; }; union { void *data_end; }; __u32 len; __u32 eth_protocol; __u32
  ip_protocol; __u32 bind_inany; __u32 hash; union { struct bpf_sock *sk; }; union { struct bpf_sock *migrating_sk;
  }; };
struct bpf_sk_lookup { union { union { struct bpf_sock *sk; }; __u64 cookie; }; __u32 family; __u32 protocol; __u32
  remote_ip4; __u32 remote_ip6[4]; __be16 remote_port; __u32 local_ip4; __u32 local_ip6[4]; __u32 local_port; __u32
  ingress_ifindex; };
struct bpf_sockopt { union { struct bpf_sock *sk; }; union { void *optval; }; union { void *optval_end; }; __s32
  level; __s32 optname; __s32 optlen; __s32 retval; };
struct bpf_sysctl { __u32 write; __u32 file_pos; };
struct bpf_cgroup_dev_ctx { __u32 access_type; __u32 major; __u32 minor; };
struct bpf_perf_event_value { __u64 counter; __u64 enabled; __u64 running; };
struct bpf_raw_tracepoint_args { __u64 args[0]; };
struct bpf_tunnel_key { __u32 tunnel_id; union { __u32 remote_ipv4; __u32 remote_ipv6[4]; }; __u8 tunnel_tos; __u8
  tunnel_ttl; union { __u16 tunnel_ext; __be16 tunnel_flags; }; __u32 tunnel_label; union { __u32 local_ipv4; __u32
  local_ipv6[4]; }; };
struct bpf_xfrm_state { __u32 reqid; __u32 spi; __u16 family; __u16 ext; union { __u32 remote_ipv4; __u32
  remote_ipv6[4]; }; };
struct bpf_fib_lookup { __u8 family; __u8 l4_protocol; __be16 sport; __be16 dport; union { __u16 tot_len; __u16
  mtu_result; }; __u32 ifindex; union { __u8 tos; __be32 flowinfo; __u32 rt_metric; }; union { __be32 ipv4_src;
  __u32 ipv6_src[4]; }; union { __be32 ipv4_dst; __u32 ipv6_dst[4]; }; union { struct { __be16 h_vlan_proto; __be16
  h_vlan_TCI; }; __u32 tbid; }; union { struct { __u32 mark; }; struct { __u8 smac[6]; __u8 dmac[6]; }; }; };
struct bpf_redir_neigh { __u32 nh_family; union { __be32 ipv4_nh; __u32 ipv6_nh[4]; }; };
struct bpf_flow_keys { __u16 nhoff; __u16 thoff; __u16 addr_proto; __u8 is_frag; __u8 is_first_frag; __u8 is_encap;
  __u8 ip_proto; __be16 n_proto; __be16 sport; __be16 dport; union { struct { __be32 ipv4_src; __be32 ipv4_dst; };
  struct { __u32 ipv6_src[4]; __u32 ipv6_dst[4]; }; }; __u32 flags; __be32 flow_label; };
struct bpf_pidns_info { __u32 pid; __u32 tgid; };
struct btf_ptr { void *ptr; __u32 type_id; __u32 flags; };
struct bpf_spin_lock { __u32 val; };
struct bpf_timer { __u64 __opaque[2]; };
struct bpf_wq { __u64 __opaque[2]; };
struct bpf_dynptr { __u64 __opaque[2]; };
struct bpf_list_head { __u64 __opaque[2]; };
struct bpf_list_node { __u64 __opaque[3]; };
struct bpf_rb_root { __u64 __opaque[2]; };
struct bpf_rb_node { __u64 __opaque[4]; };
struct bpf_refcount { __u32 __opaque[1]; };
struct bpf_iter_num { __u64 __opaque[1]; };
struct bpf_cgroup_storage_key { __u64 cgroup_inode_id; __u32 attach_type; };
struct bpf_stack_build_id { __s32 status; unsigned char build_id[20]; union { __u64 offset; __u64 ip; }; };
struct bpf_devmap_val { __u32 ifindex; union { int fd; __u32 id; } bpf_prog; };
struct bpf_cpumap_val { __u32 qsize; union { int fd; __u32 id; } bpf_prog; };
struct bpf_insn { __u8 code; __u8 dst_reg : 4; __u8 src_reg : 4; __s16 off; __s32 imm; };
`;

/** Headers of packets, addresses. */
const networkTypes: string = `
struct sockaddr_storage { __kernel_sa_family_t ss_family; char __data[126]; };
struct in_addr { __be32 s_addr; };
struct in6_addr { union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u; };
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_in { __kernel_sa_family_t sin_family; __be16 sin_port; struct in_addr sin_addr; unsigned char
  __pad[8]; };
struct sockaddr_in6 { unsigned short sin6_family; __be16 sin6_port; __be32 sin6_flowinfo; struct in6_addr sin6_addr;
  __u32 sin6_scope_id; };
struct sockaddr_un { __kernel_sa_family_t sun_family; char sun_path[108]; };
struct ethhdr { unsigned char h_dest[6]; unsigned char h_source[6]; __be16 h_proto; };
struct vlan_hdr { __be16 h_vlan_TCI; __be16 h_vlan_encapsulated_proto; };
struct vlan_ethhdr { union { struct { unsigned char h_dest[6]; unsigned char h_source[6]; }; struct { unsigned char
  h_dest[6]; unsigned char h_source[6]; } addrs; }; __be16 h_vlan_proto; __be16 h_vlan_TCI; __be16
  h_vlan_encapsulated_proto; };
struct iphdr { __u8 ihl : 4; __u8 version : 4; __u8 tos; __be16 tot_len; __be16 id; __be16 frag_off; __u8 ttl; __u8
  protocol; __sum16 check; union { struct { __be32 saddr; __be32 daddr; }; struct { __be32 saddr; __be32 daddr; }
  addrs; }; };
struct ipv6hdr { __u8 priority : 4; __u8 version : 4; __u8 flow_lbl[3]; __be16 payload_len; __u8 nexthdr; __u8
  hop_limit; union { struct { struct in6_addr saddr; struct in6_addr daddr; }; struct { struct in6_addr saddr;
  struct in6_addr daddr; } addrs; }; };
struct ipv6_opt_hdr { __u8 nexthdr; __u8 hdrlen; };
struct frag_hdr { __u8 nexthdr; __u8 reserved; __be16 frag_off; __be32 identification; };
struct ip_auth_hdr { __u8 nexthdr; __u8 hdrlen; __be16 reserved; __be32 spi; __be32 seq_no; __u8 auth_data[0]; };
struct tcphdr { __be16 source; __be16 dest; __be32 seq; __be32 ack_seq; __u16 ae : 1; __u16 res1 : 3; __u16 doff :
  4; __u16 fin : 1; __u16 syn : 1; __u16 rst : 1; __u16 psh : 1; __u16 ack : 1; __u16 urg : 1; __u16 ece : 1; __u16
  cwr : 1; __be16 window; __sum16 check; __be16 urg_ptr; };
struct udphdr { __be16 source; __be16 dest; __be16 len; __sum16 check; };
struct icmphdr { __u8 type; __u8 code; __sum16 checksum; union { struct { __be16 id; __be16 sequence; } echo; __be32
  gateway; struct { __be16 __unused; __be16 mtu; } frag; __u8 reserved[4]; } un; };
struct icmpv6_echo { __be16 identifier; __be16 sequence; };
struct icmpv6_nd_advt { __u32 reserved : 5; __u32 override : 1; __u32 solicited : 1; __u32 router : 1; __u32
  reserved2 : 24; };
struct icmpv6_nd_ra { __u8 hop_limit; __u8 reserved : 3; __u8 router_pref : 2; __u8 home_agent : 1; __u8 other : 1;
  __u8 managed : 1; __be16 rt_lifetime; };
struct icmp6hdr { __u8 icmp6_type; __u8 icmp6_code; __sum16 icmp6_cksum; union { __be32 un_data32[1]; __be16
  un_data16[2]; __u8 un_data8[4]; struct icmpv6_echo u_echo; struct icmpv6_nd_advt u_nd_advt; struct icmpv6_nd_ra
  u_nd_ra; } icmp6_dataun; };
struct arphdr { __be16 ar_hrd; __be16 ar_pro; unsigned char ar_hln; unsigned char ar_pln; __be16 ar_op; };
struct mpls_label { __be32 entry; };
struct gre_base_hdr { __be16 flags; __be16 protocol; };
struct ipv6_rt_hdr { __u8 nexthdr; __u8 hdrlen; __u8 type; __u8 segments_left; };
struct sr6_tlv { __u8 type; __u8 len; __u8 data[0]; };
struct ipv6_sr_hdr { __u8 nexthdr; __u8 hdrlen; __u8 type; __u8 segments_left; __u8 first_segment; __u8 flags; __u16
  tag; struct in6_addr segments[0]; };
union tcp_word_hdr { struct tcphdr hdr; __be32 words[5]; };
`;

/** What a probe finds in the registers. */
const machineTypes: string = `
struct pt_regs { unsigned long r15; unsigned long r14; unsigned long r13; unsigned long r12; unsigned long bp;
  unsigned long bx; unsigned long r11; unsigned long r10; unsigned long r9; unsigned long r8; unsigned long ax;
  unsigned long cx; unsigned long dx; unsigned long si; unsigned long di; unsigned long orig_ax; unsigned long ip;
  unsigned long cs; unsigned long flags; unsigned long sp; unsigned long ss; };
struct user_pt_regs { __u64 regs[31]; __u64 sp; __u64 pc; __u64 pstate; };
struct iovec { void *iov_base; size_t iov_len; };
struct timespec { long tv_sec; long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };
`;

/** All of them as C; the names of integers of 8 to 64 bits are known without. */
export const uapiTypes: string = basicTypes + machineTypes + networkTypes + bpfTypes;
