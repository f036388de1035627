/** From lines to what is said: one line, lines that end with a backslash or were pasted, or a block between triple quotes. */

const FENCE = '"""';

export interface LineJoiner {
    /**
     * What the line completes; undefined if more lines belong to it.
     *
     * @param goesOn - whether its end is not that of the input, since it was pasted. Default false
     */
    push(line: string, goesOn?: boolean): string | undefined;
    /** What there is of an unfinished input, if there is one. */
    flush(): string | undefined;
    /** Whether more lines belong to what was begun. */
    readonly open: boolean;
}

export function createLineJoiner(): LineJoiner {
    let lines: string[] = [];
    let fenced = false;
    function finish(): string {
        const text = lines.join("\n");
        lines = [];
        fenced = false;
        return text;
    }
    return {
        push(line, goesOn = false) {
            let text = line;
            if (!fenced && lines.length === 0 && text.trimStart().startsWith(FENCE)) {
                fenced = true;
                text = text.trimStart().slice(FENCE.length);
                if (text.trim() === "") return undefined;
            }
            if (fenced) {
                const closes = text.trimEnd().endsWith(FENCE);
                if (closes) text = text.trimEnd().slice(0, -FENCE.length);
                if (!closes || text.trim() !== "") lines.push(text);
                return closes ? finish() : undefined;
            }
            if (goesOn) {
                lines.push(text);
                return undefined;
            }
            if (text.endsWith("\\")) {
                lines.push(text.slice(0, -1));
                return undefined;
            }
            // Pasted lines may end with a line end, and no line of theirs begins there.
            if (text !== "" || lines.length === 0) lines.push(text);
            return finish();
        },
        flush: () => (fenced || lines.length > 0 ? finish() : undefined),
        get open() {
            return fenced || lines.length > 0;
        },
    };
}
