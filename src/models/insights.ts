/** What node-llama-cpp needs to know of a model to estimate its memory, from our own reading of the header. */

import { pathToFileURL } from "node:url";
import type { GgufFileInfo, GgufInsights } from "node-llama-cpp";
import { EftError } from "../errors.js";
import type { HeaderValue, NativeBinding, NativeHeader } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { packageFile } from "../package.js";

/** Entries whose names begin alike, in the objects that stand for what they have in common. */
interface Nested {
    [name: string]: HeaderValue | Nested | undefined;
}

/**
 * @param file - path of a model; of a split one, that of the first part
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE
 */
export async function readInsights(file: string): Promise<GgufInsights> {
    const binding = loadBinding();
    // Refuses what is missing, damaged, truncated or of impossible size.
    const header = binding.readHeader(file);
    const architecture = describeArchitecture(header);
    const tensors = binding.readTensors(file).map(({ name, shape, type }) => ({
        ...{ name, dimensions: shape, ggmlType: type },
        // Where tensors lie decides nothing about the memory that they take.
        ...{ offset: 0, fileOffset: 0, filePart: 1 },
    }));
    const info = {
        ...{ version: 3, metadata: { general: { architecture: header.architecture } } },
        architectureMetadata: architecture,
        ...{ tensorCount: tensors.length, totalTensorCount: tensors.length },
        ...{ tensorInfo: tensors, fullTensorInfo: tensors, splicedParts: 1 },
        // Without these, the file is not loaded for an estimate.
        ...{ sourceData: [], metadataSize: 0, totalMetadataSize: 0 },
    };
    const Insights = await importInsights();
    try {
        return new Insights(info as unknown as GgufFileInfo, describeLlama(binding));
    } catch (error) {
        throw new EftError("MODEL_INVALID", `Nothing can be planned by the header of ${file}: ${String(error)}`, {
            cause: error,
        });
    }
}

/** The class as the build takes it out of node-llama-cpp, which need not be installed (vite.estimates.config.js). */
async function importInsights(): Promise<new (info: GgufFileInfo, llama: object) => GgufInsights> {
    const { href } = pathToFileURL(packageFile("dist/models/estimates.js"));
    const { GgufInsights: Insights } = (await import(href)) as {
        GgufInsights: new (info: GgufFileInfo, llama: object) => GgufInsights;
    };
    return Insights;
}

/** Architectures without keys and values, by llm_arch_is_recurrent() of llama.cpp. Their headers may name heads of attention. */
const RECURRENT: readonly unknown[] = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/** What the estimates ask of llama.cpp. */
function describeLlama(binding: NativeBinding): object {
    const sizes = binding.typeSizes();
    return {
        supportsMmap: true,
        _consts: { ggmlMaxDims: 4, ggmlTypeF32Size: 4, ggmlTypeF16Size: 2, ggmlTensorOverhead: 0 },
        _bindings: {
            getTypeSizeForGgmlType: (type: number) => sizes[type]?.bytes,
            getBlockSizeForGgmlType: (type: number) => sizes[type]?.numbers,
            getGgmlGraphOverheadCustom: (nodes: number) => binding.graphBytes(nodes),
            getIsArchRecurrent: (architecture: string) => RECURRENT.includes(architecture),
        },
    };
}

/** The entries of the architecture. Where layers differ, the most stands for all: the estimates reckon with one number. */
function describeArchitecture({ architecture, entries, vocabularySize, ...sizes }: NativeHeader): Nested {
    const prefix = `${architecture}.`;
    const nested = nest(
        entries.flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [])),
    );
    nested.vocab_size ??= vocabularySize;
    if (Array.isArray(nested.expert_used_count)) nested.expert_used_count = sizes.expertsUsed;
    const { attention } = nested;
    if (!isNested(attention) || !Array.isArray(attention.head_count)) return nested;
    attention.head_count = sizes.heads;
    attention.key_length ??= sizes.keyLength;
    attention.value_length ??= sizes.valueLength;
    return nested;
}

/** `a.b` and `a.c` become an object `a`. An entry whose name begins with the whole name of an earlier one is left out. */
function nest(entries: readonly (readonly [key: string, value: HeaderValue])[]): Nested {
    const create = (): Nested => Object.create(null) as Nested;
    const result = create();
    for (const [key, value] of entries) {
        const parents = key.split(".");
        const name = parents.pop() as string;
        let place: HeaderValue | Nested | undefined = result;
        for (const parent of parents) place = isNested(place) ? (place[parent] ??= create()) : undefined;
        // A copy, because the estimates recognise only arrays that their own realm has made.
        if (isNested(place)) place[name] ??= Array.isArray(value) ? Array.from(value as readonly (number | boolean)[]) : value;
    }
    return result;
}

function isNested(value: HeaderValue | Nested | undefined): value is Nested {
    return typeof value === "object" && !Array.isArray(value);
}
