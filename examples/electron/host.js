// The utility process: holds the models, so that neither the windows nor the main process ever wait for them.
import { startHost } from "eft-llama/electron";

startHost(process.parentPort);
