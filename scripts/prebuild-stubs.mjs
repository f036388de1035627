// What prebuilt addons are linked with instead of libraries that exist where they will run, and not here.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** With which exceptions unwind the stack: what libc++abi asks of libgcc_s. */
const UNWINDER = [
    ...["Backtrace", "DeleteException", "FindEnclosingFunction", "ForcedUnwind", "GetCFA", "GetDataRelBase", "GetGR"],
    ...["GetIP", "GetIPInfo", "GetLanguageSpecificData", "GetRegionStart", "GetTextRelBase", "RaiseException", "Resume"],
    ...["Resume_or_Rethrow", "SetGR", "SetIP"],
];

/**
 * libgcc_s.so.1 in C. Linked with it, an addon uses the unwinder of the process, which llama.cpp's libraries need too;
 * an unwinder of its own would not know their frames, and exceptions that cross them would end the process.
 */
export function unwinderStub() {
    return UNWINDER.map((name) => `void _Unwind_${name}(void) {}\n`).join("");
}

/** What an addon shows on Linux; not the C++ run time that is linked into it. */
export const exported = `{
    global: napi_register_module_v1; node_api_module_get_api_version_v1; eft_llama_copy_*;
    local: *;
};
`;

/**
 * Node-API for Windows, in C. To import its functions is to name the file that has them, which is node.exe unless
 * another program, such as Electron, brings Node along; so whichever program is running is asked for them.
 */
export function nodeApiStub(version) {
    const { js_native_api_symbols: language, node_api_symbols: node } = require("node-api-headers").symbols[version];
    const names = [...language, ...node].sort();
    // The variables through which functions are called that are declared as imported from a library.
    return `#include <windows.h>
${names.map((name) => `void * __imp_${name};`).join("\n")}
static const struct { void ** place; const char * name; } functions[] = {
${names.map((name) => `    {&__imp_${name}, "${name}"},`).join("\n")}
};
__attribute__((constructor)) static void find_node_api(void) {
    HMODULE node = GetModuleHandleW(NULL);
    if (!GetProcAddress(node, "napi_create_function")) node = GetModuleHandleW(L"libnode.dll");
    for (size_t i = 0; node && i < sizeof functions / sizeof *functions; ++i) {
        *functions[i].place = (void *) GetProcAddress(node, functions[i].name);
    }
}
`;
}
