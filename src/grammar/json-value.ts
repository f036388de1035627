/** Values that somebody else has made, as plain JSON: read once, within bounds, whatever they do when they are read. */

import { EftError } from "../errors.js";

export interface JsonCopy {
    /** Made of plain objects without prototype, arrays, texts, numbers, booleans and null. */
    readonly value: unknown;
    /** About the length of the JSON text of an object or array of the copy. */
    readonly sizes: ReadonlyMap<object, number>;
}

/** Objects within objects: less than what overflows a stack somewhere. */
const DEEPEST = 1000;
const MOST_VALUES = 200_000;

interface Frame {
    readonly source: object;
    readonly copy: unknown[] | Record<string, unknown>;
    readonly keys: readonly string[];
    next: number;
    size: number;
}

/** Units of work. */
const VALUE = 4;
const CHARACTERS_OF_UNIT = 20;

/**
 * @param invalid - throws an error that names a place, a JSON pointer
 * @param spend - counts values and characters, in the units of work.ts
 */
export function copyJson(
    value: unknown,
    invalid: (place: string, reason: string) => never,
    spend: (count: number) => void,
): JsonCopy {
    const copies = new Map<object, { copy: object; isDone: boolean }>();
    const sizes = new Map<object, number>();
    const frames: Frame[] = [];
    let values = 0;

    const fail = (reason: string): never => {
        const keys = frames.map(({ keys: names, next }) => names[next - 1] ?? "");
        return invalid(["#", ...keys.map(escapePointer)].join("/"), reason);
    };

    /** What somebody else's code does when it is asked is their mistake, and not ours. */
    function read<T>(ask: () => T): T {
        try {
            return ask();
        } catch (error) {
            if (EftError.isInstance(error)) throw error;
            return fail(`it cannot be read${error instanceof Error ? `: ${error.message}` : ""}`);
        }
    }

    /** The copy of a value, of an object as far as it goes: its frame fills it. */
    function copyOf(source: unknown): { copy: unknown; size: number } {
        if (++values > MOST_VALUES) return fail(`it has more than ${MOST_VALUES} values`);
        spend(VALUE + (typeof source === "string" ? source.length / CHARACTERS_OF_UNIT : 0));
        if (source === null || typeof source === "boolean") return { copy: source, size: 5 };
        if (typeof source === "string") return { copy: source, size: source.length + 2 };
        if (typeof source === "number" && Number.isFinite(source)) return { copy: source, size: 8 };
        if (typeof source !== "object") return fail(`${nameOf(source)} is not JSON`);
        const known = copies.get(source);
        if (known !== undefined) {
            if (!known.isDone) fail("it contains itself, so it is nested more than 100 deep; lead there by `$ref`");
            return { copy: known.copy, size: sizes.get(known.copy) ?? 0 };
        }
        if (frames.length === DEEPEST) fail(`it is nested more than ${DEEPEST} deep`);
        const frame = read(() => open(source));
        frames.push(frame);
        copies.set(source, { copy: frame.copy, isDone: false });
        return { copy: frame.copy, size: 0 };
    }

    function open(source: object): Frame {
        if (Array.isArray(source)) {
            const { length } = source;
            if (length > MOST_VALUES) fail(`it has more than ${MOST_VALUES} values`);
            const keys = Array.from({ length }, (_, index) => String(index));
            return { source, copy: new Array<unknown>(length), keys, next: 0, size: 2 };
        }
        // A plain object, perhaps of another realm.
        const prototype: unknown = Object.getPrototypeOf(source);
        if (prototype !== null && Object.getPrototypeOf(prototype) !== null) fail(`${nameOf(source)} is not JSON`);
        const copy = Object.create(null) as Record<string, unknown>;
        return { source, copy, keys: Object.keys(source), next: 0, size: 2 };
    }

    const { copy: result } = copyOf(value);
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
        const key = frame.keys[frame.next++];
        if (key === undefined) {
            frames.pop();
            sizes.set(frame.copy, frame.size);
            const entry = copies.get(frame.source);
            if (entry !== undefined) entry.isDone = true;
            const parent = frames.at(-1);
            if (parent !== undefined) parent.size += frame.size;
            continue;
        }
        const { source } = frame;
        const child = read(() => (source as Record<string, unknown>)[key]);
        // As JSON.stringify() does, so that an option that is not set is none.
        if (child === undefined && !Array.isArray(source)) continue;
        const { copy, size } = copyOf(child);
        (frame.copy as Record<string, unknown>)[key] = copy;
        spend(key.length / CHARACTERS_OF_UNIT);
        frame.size += size + key.length + 4;
    }
    return { value: result, sizes };
}

export function escapePointer(name: string): string {
    return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function nameOf(value: unknown): string {
    if (typeof value === "number" || value === undefined) return String(value);
    if (typeof value === "bigint") return `the BigInt ${value}n`;
    if (typeof value !== "object" || value === null) return `a ${typeof value}`;
    return `an object of class ${value.constructor.name}`;
}
