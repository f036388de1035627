import type { ComponentChildren } from "preact";

interface Properties {
    readonly text: string;
    /** What can be done about it. */
    readonly children?: ComponentChildren;
}

/** Something that is wrong, in a sentence. */
export function Notice({ text, children }: Properties) {
    return (
        <div class="notice" role="alert">
            <p>{text}</p>
            {children}
        </div>
    );
}
