#!/usr/bin/env node
"use strict";
const { writeFileSync } = require("node:fs");
const { cacheOf, loadBundle } = require("./load-bundle.cjs");

const loaded = loadBundle("skep.cjs");
if (loaded === undefined) {
  process.stderr.write("skep: dist/bundle is missing: run npm run build\n");
  process.exit(1);
}
if (process.argv[2] === "--write-code-cache") {
  loaded.exports.warmUp().then(() => writeFileSync(cacheOf("skep.cjs"), loaded.script.createCachedData()));
} else {
  void loaded.exports.start();
}
