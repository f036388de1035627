// An ensemble that is loaded, used and neither disposed nor used any more must not keep the process alive.
import { collect, complete } from "../../../dist/index.js";
import { load } from "./demo.mjs";

const ensemble = await load();
const { text } = await collect(
    complete(ensemble, { prompt: "What is the capital of Peru?", sampling: { temperature: 0 } }),
);
// One that is left in the middle, and one that waits to be consumed.
await complete(ensemble, { prompt: "What is the capital of Peru?" }).next();
console.log(text);
