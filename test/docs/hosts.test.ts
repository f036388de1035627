/** docs/hosts.md is executed: its program runs. */

import { expect, it } from "@jest/globals";
import { readText } from "../helpers/demo.js";
import { codeBlocks } from "../helpers/markdown.js";
import { runExample } from "../helpers/program.js";
