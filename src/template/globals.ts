/** What every template finds. */

import { needText } from "./arguments.js";
import type { Context } from "./context.js";
import {
    fail,
    isSequence,
    itemsOf,
    Namespace,
    NONE,
    toKey,
    type Callable,
    type Dictionary,
    type Key,
    type Value,
} from "./values.js";

/** The functions that every template finds. */
export function createGlobals(context: Context, now: () => Date): Map<string, Value> {
    const { values, work } = context;
    const dictionary: Callable = ([source], named) => {
        const entries = source === undefined ? [] : pairs(source);
        work.step(entries.length + named.size);
        return new Map<Key, Value>([...entries, ...named]);
    };
    const pairs = (source: Value): [Key, Value][] => {
        if (source instanceof Map) return [...source];
        return values.items(source).map((pair) => {
            if (!isSequence(pair) || itemsOf(pair).length !== 2) return fail("a dictionary is made of pairs");
            const [key = NONE, value = NONE] = itemsOf(pair);
            return [toKey(key), value];
        });
    };
    return new Map<string, Value>([
        ["true", true],
        ["True", true],
        ["false", false],
        ["False", false],
        ["none", NONE],
        ["None", NONE],
        ["raise_exception", ([message = ""]) => fail(values.text(message))],
        ["range", (args) => range(context, args)],
        ["dict", dictionary],
        [
            "namespace",
            (args, named) => {
                const entries = dictionary(args, named) as Dictionary;
                return new Namespace(
                    new Map([...entries].map(([key, value]) => [needText("a name", key), value] as const)),
                );
            },
        ],
        [
            "strftime_now",
            ([format = ""]) => {
                const text = formatDate(now(), values.text(format));
                work.write(text.length);
                return text;
            },
        ],
    ]);
}

/** As many as the sandbox of Python's Jinja allows. */
const MAX_RANGE = 100_000;

function range({ work }: Context, args: readonly Value[]): Value {
    const numbers = args.map((each) => (typeof each === "number" ? each : fail("range needs integers")));
    const [start = 0, stop = 0, step = 1] = numbers.length < 2 ? [0, ...numbers] : numbers;
    if (step === 0) fail("the step of a range must not be 0");
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (length > MAX_RANGE) fail(`a range has at most ${MAX_RANGE} numbers`);
    work.step(length);
    const items: number[] = [];
    for (let index = 0; index < length; index++) items.push(start + index * step);
    return items;
}

const MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** C's `strftime` with English names, whatever language the machine speaks. */
function formatDate(date: Date, format: string): string {
    const two = (value: number): string => String(value).padStart(2, "0");
    const [month, day] = [MONTHS[date.getMonth()] ?? "", DAYS[date.getDay()] ?? ""];
    const fields: Readonly<Record<string, string>> = {
        ...{ Y: String(date.getFullYear()), y: two(date.getFullYear() % 100), m: two(date.getMonth() + 1) },
        ...{ B: month, b: month.slice(0, 3), d: two(date.getDate()), e: String(date.getDate()).padStart(2) },
        ...{ A: day, a: day.slice(0, 3), H: two(date.getHours()), I: two(date.getHours() % 12 || 12) },
        ...{ M: two(date.getMinutes()), S: two(date.getSeconds()), p: date.getHours() < 12 ? "AM" : "PM", "%": "%" },
    };
    return format.replace(/%(-?)([A-Za-z%])/g, (all, bare: string, letter: string) => {
        const field = Object.hasOwn(fields, letter) ? (fields[letter] ?? all) : all;
        return bare === "" ? field : field.replace(/^[0 ](?=.)/, "");
    });
}
