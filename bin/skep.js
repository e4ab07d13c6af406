#!/usr/bin/env node
import "../dist/bundle/skep.js";
