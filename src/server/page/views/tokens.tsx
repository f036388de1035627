import { useComputed, useSignal, type Signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Answer, Piece } from "../state/answer.js";
import { memberColour } from "../state/colours.js";
import { inspect, inspected } from "../state/inspected.js";
import { tint, type Tint } from "../state/tint.js";
import { describeToken, distanceStep } from "../text/tokens.js";
import { findNeighbour } from "./token-keys.js";

/** The text of an answer, token by token: hovered, or walked through with the arrow keys. */
export function Tokens({ answer }: { readonly answer: Answer }) {
    const { pieces, status } = answer.view.value;
    /** The one that the Tab key comes to. */
    const current = useSignal(0);
    const show = (target: EventTarget | null): number | undefined => {
        const index = indexOf(target);
        if (index === undefined || pieces[index]?.token === undefined) return undefined;
        inspect({ answer, index });
        return index;
    };
    if (pieces.length === 0) return null;
    return (
        <div
            class={status === "running" ? "tokens running" : "tokens"}
            role="listbox"
            aria-label="Tokens; arrow keys go from one to the next"
            aria-orientation="horizontal"
            // Not what comes under a mouse that stays where it is.
            onPointerMove={(event) => void (event.pointerType === "mouse" && show(event.target))}
            onClick={(event) => (event.target as HTMLElement).closest<HTMLElement>(".token")?.focus()}
            onFocusIn={({ target }) => {
                current.value = show(target) ?? current.value;
                // Its details may have come over it, and with them room to scroll.
                requestAnimationFrame(() => (target as HTMLElement).scrollIntoView({ block: "nearest" }));
            }}
            onKeyDown={(event) => {
                if (event.key === "Escape") return inspect(undefined);
                const next = findNeighbour(event.currentTarget, current.value, event.key);
                if (next === undefined) return;
                event.preventDefault();
                next.focus();
            }}
        >
            {pieces.map((piece, index) => (
                <Token key={index} {...{ piece, index, answer, current }} />
            ))}
        </div>
    );
}

interface TokenProperties {
    readonly piece: Piece;
    readonly index: number;
    readonly answer: Answer;
    readonly current: Signal<number>;
}

function Token({ piece: { text, token }, index, answer, current }: TokenProperties) {
    const isCurrent = useComputed(() => current.value === index);
    const isShown = useComputed(() => inspected.value?.answer === answer && inspected.value.index === index);
    const label = useMemo(() => (token === undefined ? text : describeToken(token)), [token, text]);
    return (
        <span
            class={`token ${tintClass(tint.value, token, answer.recipe)}`}
            role="option"
            tabIndex={isCurrent.value ? 0 : -1}
            aria-selected={isShown.value}
            aria-label={label}
            data-index={index}
        >
            {text}
        </span>
    );
}

function tintClass(by: Tint, token: Piece["token"], recipe: string): string {
    const { drafter } = token ?? {};
    if (drafter === undefined || by === "none") return "";
    if (by === "distance") return `distance-${distanceStep(drafter.distance)}`;
    return drafter.changed_by === undefined ? "" : `member-${memberColour(recipe, drafter.changed_by)}`;
}

function indexOf(target: EventTarget | null): number | undefined {
    const { index } = (target as HTMLElement | null)?.dataset ?? {};
    return index === undefined ? undefined : Number(index);
}
