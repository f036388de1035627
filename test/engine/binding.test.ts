/** That src/native/binding.ts and the addon speak of the same functions, classes and fields. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it, test } from "@jest/globals";
import ts from "typescript";
import { loadBinding } from "../../src/native/load-binding.js";
import { packageRoot } from "../../src/package.js";
import { demoFile } from "../helpers/demo.js";

const nativeFolder = path.join(packageRoot, "native", "node");
const bindingFile = path.join(packageRoot, "src", "native", "binding.ts");

/** Names of fields that code reads from one object, or writes into one. */
interface Access {
    readonly place: string;
    readonly names: Set<string>;
}

interface NativeNames {
    readonly reads: Access[];
    readonly writes: Access[];
    /** Methods by class. */
    readonly classes: Map<string, string[]>;
    /** Reads and writes of which nobody can see the name. */
    readonly unclear: string[];
}

/**
 * What C++ code says. An object is a variable from its declaration to the next one of that name, within a function; what is read
 * or written without a variable is an object by itself.
 *
 * @param text - formatted by clang-format: functions end with a brace at the beginning of a line
 */
function readNative(file: string, text: string): NativeNames {
    const found: NativeNames = { reads: [], writes: [], classes: new Map(), unclear: [] };
    const code = text.replace(/\/\/.*$/gm, "");
    for (const [, name = "", methods = ""] of code.matchAll(/DefineClass\(\s*env,\s*"(\w+)",\s*\{(.*?)\}\)/gs))
        found.classes.set(
            name,
            [...methods.matchAll(/"(\w+)"/g)].map(([, method = ""]) => method),
        );
    for (const body of code.split(/^\}/m)) {
        const objects = new Map<string, Access>();
        // A declaration, or an access: its receiver if that is a variable, perhaps cast, and what is in the brackets.
        const steps =
            /\b(?:Napi::Object|auto) (?:& )?(\w+)\b|(?:\b(\w+)(?:\.As<Napi::Object>\(\))?)?\.(Get|Set)\(([^,)]*)/g;
        for (const [, declared, receiver, access, key = ""] of body.matchAll(steps)) {
            if (declared !== undefined) {
                for (const kind of ["Get", "Set"]) objects.delete(`${kind} ${declared}`);
                continue;
            }
            const name = /^\s*"(.*)"$/.exec(key)?.[1];
            if (name === undefined) {
                // Places in arrays.
                if (!/^(?:\d+u?|[a-z]|row|index(?:\+\+)?|result\.Length\(|static_cast<uint32_t>\(.*)$/.test(key))
                    found.unclear.push(`${file}: ${access}(${key})`);
                continue;
            }
            const id = `${access} ${receiver}`;
            const known = receiver === undefined ? undefined : objects.get(id);
            const object = known ?? { place: `${file}: ${receiver ?? "?"}`, names: new Set() };
            object.names.add(name);
            if (known !== undefined) continue;
            if (receiver !== undefined) objects.set(id, object);
            (access === "Get" ? found.reads : found.writes).push(object);
        }
    }
    return found;
}

interface Shape {
    readonly name: string;
    readonly fields: readonly string[];
    /** Those of them that are functions. */
    readonly methods: readonly string[];
}

interface DeclaredNames {
    /** What native code is given, and what it gives. Each is there once. */
    readonly given: Shape[];
    readonly returned: Shape[];
    /** Classes of the addon. */
    readonly classes: Shape[];
    readonly binding: Shape;
}

/** What `NativeBinding` and all that can be reached from it say. @param text - of a module that declares it */
function readDeclared(text: string, classNames: readonly string[]): DeclaredNames {
    const target = ts.ScriptTarget.ES2023;
    const source = ts.createSourceFile(bindingFile, text, target, true);
    // What it imports has no fields that native code sees.
    const options = { target, strict: true, types: [], noResolve: true };
    const host = ts.createCompilerHost(options);
    const readSource = host.getSourceFile.bind(host);
    host.getSourceFile = (name, ...more) => (name === bindingFile ? source : readSource(name, ...more));
    const checker = ts.createProgram([bindingFile], options, host).getTypeChecker();
    const root = source.statements.find(
        (statement): statement is ts.InterfaceDeclaration =>
            ts.isInterfaceDeclaration(statement) && statement.name.text === "NativeBinding",
    ) as ts.InterfaceDeclaration;

    const shapes = { given: new Map<string, Shape>(), returned: new Map<string, Shape>() };
    const classes = new Map<string, Shape>();
    const other = { given: "returned", returned: "given" } as const;
    const isOurs = (symbol: ts.Symbol | undefined): boolean =>
        symbol?.declarations?.some((declaration) => declaration.getSourceFile() === source) === true;
    const functionOf = (type: ts.Type): ts.Signature | undefined =>
        checker.getNonNullableType(type).getCallSignatures()[0];

    function describeShape(name: string, type: ts.Type): Shape {
        const properties = checker.getPropertiesOfType(type);
        return {
            name,
            fields: properties.map((property) => property.name),
            methods: properties
                .filter((property) => functionOf(checker.getTypeOfSymbol(property)) !== undefined)
                .map((property) => property.name),
        };
    }

    function visit(type: ts.Type, way: "given" | "returned", place: string): void {
        if (type.isUnion()) return type.types.forEach((part) => visit(part, way, place));
        const signature = functionOf(type);
        if (signature !== undefined) {
            for (const parameter of signature.getParameters())
                visit(checker.getTypeOfSymbol(parameter), other[way], `${place}(${parameter.name})`);
            return visit(signature.getReturnType(), way, `${place}()`);
        }
        const symbol = type.getSymbol();
        const isList = checker.isArrayType(type) || checker.isTupleType(type);
        if (isList || symbol?.name === "Promise")
            return checker
                .getTypeArguments(type as ts.TypeReference)
                .forEach((argument) => visit(argument, way, place));
        // Numbers, texts, typed arrays, classes of others.
        if (!isOurs(symbol)) return;
        const name = symbol?.name === "__type" ? place : (symbol?.name ?? place);
        const isClass = classNames.includes(name);
        const known: Map<string, Shape> = isClass ? classes : shapes[way];
        if (known.has(name)) return;
        known.set(name, describeShape(name, type));
        for (const property of checker.getPropertiesOfType(type))
            visit(checker.getTypeOfSymbol(property), isClass ? "returned" : way, `${name}.${property.name}`);
    }

    const type = checker.getTypeAtLocation(root);
    for (const property of checker.getPropertiesOfType(type))
        visit(checker.getTypeOfSymbol(property), "returned", property.name);
    return {
        given: [...shapes.given.values()],
        returned: [...shapes.returned.values()],
        classes: [...classes.values()],
        binding: describeShape("NativeBinding", type),
    };
}

/** What one side has and the other has not. */
function compare(declared: DeclaredNames, native: NativeNames): string[] {
    const { given, returned, classes, binding } = declared;
    const written = [
        ...returned,
        binding,
        // Functions of classes are no fields that are set.
        ...classes.map((shape) => ({
            ...shape,
            fields: shape.fields.filter((name) => !shape.methods.includes(name)),
        })),
    ];
    const problems = [...native.unclear.map((access) => `${access} has a name that cannot be seen`)];
    const pair = (accesses: readonly Access[], shapes: readonly Shape[], verb: string): void => {
        const covers = ({ fields }: Shape, { names }: Access): boolean =>
            [...names].every((name) => fields.includes(name));
        for (const access of accesses)
            if (!shapes.some((shape) => covers(shape, access)))
                problems.push(`${access.place} ${verb} ${[...access.names].join(", ")}, which no one interface has`);
        for (const shape of shapes) {
            const fitting = accesses.filter((access) => covers(shape, access));
            for (const field of shape.fields)
                if (!fitting.some(({ names }) => names.has(field)))
                    problems.push(`nobody ${verb} ${field} of ${shape.name}`);
        }
    };
    pair(native.reads, given, "reads");
    pair(native.writes, written, "writes");
    for (const name of new Set([...native.classes.keys(), ...classes.map((shape) => shape.name)])) {
        const own = native.classes.get(name)?.toSorted().join(", ");
        const other = classes
            .find((shape) => shape.name === name)
            ?.methods.toSorted()
            .join(", ");
        if (own !== other) problems.push(`class ${name} has ${own} there, ${other} here`);
    }
    return problems;
}

/** All files of a folder as one would read them; `change` may make others of them. */
function readAll(change: (text: string) => string = (text) => text): NativeNames {
    const found = readdirSync(nativeFolder).map((file) =>
        readNative(file, change(readFileSync(path.join(nativeFolder, file), "utf8"))),
    );
    return {
        reads: found.flatMap(({ reads }) => reads),
        writes: found.flatMap(({ writes }) => writes),
        classes: new Map(found.flatMap(({ classes }) => [...classes])),
        unclear: found.flatMap(({ unclear }) => unclear),
    };
}

describe("binding.ts and native/node", () => {
    const text = readFileSync(bindingFile, "utf8");
    const native = readAll();
    const classNames = [...native.classes.keys()];
    const declared = readDeclared(text, classNames);

    it("are seen at all", () => {
        expect(classNames).toEqual(expect.arrayContaining(["NativeEngine", "NativeModel"]));
        expect(declared.given.map(({ name }) => name)).toContain("NativeSpeculation");
        expect(declared.given.map(({ name }) => name)).toContain("NativeExternalRow");
        expect(declared.returned.map(({ name }) => name)).toContain("NativeQueryResult");
        expect(declared.returned.map(({ name }) => name)).toContain("NativeUncovered");
        expect(native.reads.length).toBeGreaterThan(10);
        expect(native.writes.length).toBeGreaterThan(10);
    });

    it("name the same functions, classes and fields", () => {
        expect(compare(declared, native)).toEqual([]);
    });

    test.each<[string, string, string, string]>([
        ["a field that is read", 'draw.Get("topK")', 'draw.Get("top_k")', "nobody reads topK of NativeDraw"],
        [
            "a field of a row",
            'object.Get("logprobs")',
            'object.Get("logits")',
            "nobody reads logprobs of NativeExternalRow",
        ],
        ["a field that is written", '("fuseMs"', '("fusedMs"', "nobody writes fuseMs of NativeStepResult"],
        [
            "a field that another object has",
            'drafter.Set("token"',
            'drafter.Set("tokens"',
            "which no one interface has",
        ],
        ["a field besides", '.Get("seed")', '.Get("seed") + x.Get("salt")', "reads salt, which no one interface has"],
        ["a method of the engine", '"addExternalContext"', '"addRows"', "class NativeEngine has"],
        ["a method", '"detokenize"', '"toText"', "class NativeModel has"],
        ["a function", '"readHeader"', '"readHeaders"', "nobody writes readHeader of NativeBinding"],
        ["a name that is put together", '.Get("seed")', ".Get(name + 1)", "has a name that cannot be seen"],
    ])("differ where native code has %s", (_, from, to, problem) => {
        const changed = readAll((file) => file.replaceAll(from, to));
        expect(compare(declared, changed).join("\n")).toContain(problem);
    });

    test.each<[string, string, string, string]>([
        [
            "a field that is given",
            "readonly minConfidence: number;",
            "readonly leastConfidence: number;",
            "nobody reads leastConfidence of",
        ],
        ["a field that is returned", "readonly declined: number;", "", "which no one interface has"],
        [
            "a field in brackets",
            "{ readonly loaded: boolean;",
            "{ readonly isLoaded: boolean;",
            "nobody writes isLoaded",
        ],
        ["a method", "interrupt(): void;", "", "class NativeEngine has"],
        ["a function", "physicalCores(): number;", "physicalCores(): number; cores(): number;", "nobody writes cores"],
    ])("differ where binding.ts has %s", (_, from, to, problem) => {
        expect(text).toContain(from);
        const changed = readDeclared(text.replace(from, to), classNames);
        expect(compare(changed, native).join("\n")).toContain(problem);
    });
});

describe("what the addon that runs has", () => {
    const methods = (object: object): string[] =>
        Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== "constructor");
    const { binding, classes, returned } = readDeclared(readFileSync(bindingFile, "utf8"), [
        ...readAll().classes.keys(),
    ]);
    const fieldsOf = (name: string): string[] =>
        [binding, ...classes, ...returned].find((shape) => shape.name === name)?.fields.toSorted() ?? [];

    it("is what binding.ts names", async () => {
        const addon = loadBinding();
        expect(Object.keys(addon).sort()).toEqual(fieldsOf("NativeBinding"));
        const file = demoFile("small-base");
        const engine = addon.createEngine({ threads: 1, batchSize: 32, sequences: 1 });
        const model = await engine.loadModel({ path: file, gpuLayers: 0, devices: [], vocabularyOnly: true });
        expect(methods(engine).sort()).toEqual(fieldsOf("NativeEngine"));
        expect([...Object.keys(model), ...methods(model)].sort()).toEqual(fieldsOf("NativeModel"));
        const optional = ["chatTemplate"].filter((name) => !(name in model.info));
        expect([...Object.keys(model.info), ...optional].sort()).toEqual(fieldsOf("NativeModelInfo"));
        expect(Object.keys(addon.readHeader(file)).sort()).toEqual(fieldsOf("NativeHeader"));
        expect(Object.keys(addon.readTensors(file)[0] ?? {}).sort()).toEqual(fieldsOf("NativeTensor"));
        expect(Object.keys(addon.devices()[0] ?? {}).sort()).toEqual(fieldsOf("NativeDevice"));
        await engine.dispose();
    });
});
