// Downloads a file and prints the code of the error. Arguments: the address of the file, the folder to write to.
import path from "node:path";
import { transferFile } from "../../../dist/models/download-transfer.js";

const [, , address, folder] = process.argv;
try {
    const file = path.join(folder, "model.gguf");
    await transferFile({ address, reference: "hf:someone/x/m.gguf", file, onProgress: () => {} });
} catch (error) {
    console.log(error.code, error.message);
}
