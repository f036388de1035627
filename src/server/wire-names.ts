/** The library's names of options, as the bodies of requests have them. */

const WIRE_NAMES: Readonly<Record<string, string>> = {
    prompt: "messages",
    contextSize: "--context-size",
    logitBias: "logit_bias",
    toolChoice: "tool_choice",
    maxTokens: "max_tokens",
    jsonSchema: "json_schema",
    topLogprobs: "top_logprobs",
    templateVariables: "chat_template_kwargs",
    minP: "min_p",
    topK: "top_k",
    topP: "top_p",
    repeatPenalty: "repetition_penalty",
    frequencyPenalty: "frequency_penalty",
    presencePenalty: "presence_penalty",
    memberLogprobs: "eft.members",
    explain: "eft.explain",
    grammar: "eft.grammar",
    parameters: "eft.parameters",
    speculation: "eft.speculation",
    conservativeTopP: "eft.conservative.top_p",
};
/** Those that have one word in both. */
const SAME = ["temperature", "seed", "stop", "tools", "tokens"];
/** Words of a sentence too, which are meant as names where it begins with them. */
const BEGINNING = /^(?:an? \w+ (?:id )?in )?(\w+)\b/;
const UNMISTAKABLE = new RegExp(
    `\\b(${Object.keys(WIRE_NAMES)
        .filter((name) => /[A-Z]/.test(name))
        .join("|")})\\b`,
    "g",
);

/** @param names - where a protocol has others than most */
export function wireName(option: string, names: Readonly<Record<string, string>>): string | undefined {
    return names[option] ?? WIRE_NAMES[option] ?? (SAME.includes(option) ? option : undefined);
}

/** @returns the same sentence for a client, and the field that it is about */
export function inWireNames(
    message: string,
    names: Readonly<Record<string, string>>,
): { readonly message: string; readonly param: string | null } {
    const [whole = "", first = ""] = BEGINNING.exec(message) ?? [];
    const known = wireName(first, names);
    const renamed = known === undefined ? message : whole.slice(0, -first.length) + known + message.slice(whole.length);
    return {
        message: renamed.replaceAll(UNMISTAKABLE, (name) => wireName(name, names) ?? name),
        param: known ?? null,
    };
}
