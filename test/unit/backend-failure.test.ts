/** The sentences about libraries that do not load, from what ggml says of them. */

import { describe, expect, it } from "@jest/globals";
import { explainLoadFailure, explainMissing, explainRelease, joinFailures } from "../../src/native/backend-failure.js";

const file = "/somewhere/libggml-cuda.so";
const failedToLoad = (words: string): string => `load_backend: failed to load ${file}: ${words} `;
const notFound = (library: string): string =>
    failedToLoad(`${library}: cannot open shared object file: No such file or directory`);

describe("a library that another one needs", () => {
    it.each([
        ["libcuda.so.1", "Install NVIDIA's driver"],
        ["libcudart.so.13", "Install cudart and cuBLAS of CUDA 13, or name their folder in LD_LIBRARY_PATH"],
        ["libcublas.so.12", "Install cudart and cuBLAS of CUDA 12, or name their folder in LD_LIBRARY_PATH"],
        ["libcublasLt.so.13", "Install cudart and cuBLAS of CUDA 13, or name their folder in LD_LIBRARY_PATH"],
        ["libvulkan.so.1", "Install the Vulkan loader (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader)"],
        ["libnccl.so.2", undefined],
    ])("%s is named, with what brings it", (library, remedy) => {
        const failure = explainLoadFailure(file, notFound(library));
        expect(failure).toEqual({
            problem: `${file} needs ${library}, which was not found`,
            ...(remedy === undefined ? {} : { remedy }),
        });
    });
});

describe("another reason", () => {
    it.each([
        ["a function that the base library lacks", `${file}: undefined symbol: ggml_op_of_tomorrow`],
        ["another interface", "incompatible API version (backend: 1, current: 2)"],
    ])("%s means another release", (_, words) => {
        const { problem, remedy } = explainLoadFailure(file, failedToLoad(words));
        expect(problem).toContain("does not fit the other libraries of llama.cpp");
        expect(problem).toContain(words);
        expect(remedy).toMatch(/reinstall/);
    });

    it.each([`${file}: undefined symbol: cuMemCreate`, "/lib/libc.so.6: version `GLIBC_2.99' not found"])(
        "%s is passed on",
        (words) => {
            expect(explainLoadFailure(file, failedToLoad(words))).toEqual({
                problem: `${file} could not be loaded: ${failedToLoad(words)}`,
            });
        },
    );

    it("is a lack of devices where the backend is not opened by itself", () => {
        const said = `load_backend: failed to find ggml_backend_init in ${file}`;
        expect(explainLoadFailure(file, said).problem).toMatch(/has found no device$/);
    });

    it("is said to be unknown where the system gives none", () => {
        expect(explainLoadFailure(file, "").problem).toMatch(/does not say why/);
    });
});

describe("the release of a library", () => {
    it("is the pinned one, or the one that its build has noted", () => {
        expect(explainRelease("cuda", { file, release: "as pinned" }, "v2")).toBeUndefined();
        expect(explainRelease("cuda", { file, release: { noted: "v2" } }, "v2")).toBeUndefined();
    });

    it.each([
        ["v1", "llama.cpp v1"],
        [undefined, "an unknown release of llama.cpp"],
    ])("is refused where it is %s", (noted, name) => {
        const failure = explainRelease("vulkan", { file, release: { noted } }, "v2");
        expect(failure?.problem).toBe(`${file} was built for ${name}, and the other libraries are those of v2`);
        expect(failure?.remedy).toMatch(/^Build it again with `node scripts\/.* -DGGML_VULKAN=ON`, or delete it$/);
    });
});

it("says what to do about the library that would have been preferred", () => {
    expect(
        joinFailures([
            { problem: "a", remedy: "Do A" },
            { problem: "b", remedy: "Do B" },
        ]),
    ).toBe("a; b. Do A");
    expect(joinFailures([{ problem: "a" }, { problem: "b", remedy: "Do B" }])).toBe("a; b");
});

it("names every way to get a backend that is not there", () => {
    const { problem, remedy = "" } = explainMissing("cuda");
    expect(problem).not.toBe("");
    if (process.platform === "linux") expect(remedy).toContain("`node scripts/build-cuda.mjs`");
    if (process.platform === "linux" && process.arch === "x64") {
        expect(problem).toContain("@node-llama-cpp/linux-x64-cuda@");
        expect(remedy).toContain("npm install --save-exact @node-llama-cpp/linux-x64-cuda@");
    }
});
