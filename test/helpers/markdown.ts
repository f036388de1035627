/** What documents promise: their blocks of code. */

/** The blocks of a language, in the order of the text. */
export function codeBlocks(document: string, language: string): string[] {
    const pattern = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, "gm");
    return [...document.matchAll(pattern)].map((match) => match[1] ?? "");
}

/** The commands of `console` blocks, each with what stands below it. */
export function consoleExamples(document: string): (readonly [command: string, output: string])[] {
    return codeBlocks(document, "console").flatMap((block) =>
        block
            .split(/^\$ /m)
            .filter((part) => part !== "")
            .map((part) => [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n") + 1)] as const),
    );
}

/** A pattern for exactly this text, in which an ellipsis stands for what may differ on a line. */
export function patternOf(text: string): RegExp {
    const escaped = text.trimEnd().replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&");
    return new RegExp(`^${escaped.replaceAll("…", ".*")}$`);
}
