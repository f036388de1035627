import type { TokenReport } from "../api/types.js";
import { inspect, inspected, inspectedToken } from "../state/inspected.js";
import { turns } from "../state/conversation.js";
import { tint } from "../state/tint.js";
import { percent } from "../text/numbers.js";
import { spell } from "../text/tokens.js";
import { Decision } from "./decision.js";
import { Wishes } from "./wishes.js";

/** What is known about the token that is hovered or focused. */
export function Inspector() {
    if (turns.value.length === 0) return null;
    const token = inspectedToken.value;
    const { member, recipe = "" } = inspected.value?.answer ?? {};
    return (
        <aside class={token === undefined ? "inspector" : "inspector open"} aria-label="Token">
            {token !== undefined ? (
                <Details token={token} by={member} recipe={recipe} />
            ) : (
                <>
                    <p class="muted">
                        Point at a word, or go to it with Tab and the arrow keys, to see what each model wanted there.
                    </p>
                    {tint.value === "distance" && (
                        <p class="muted">
                            The more a word is coloured, the further EFT is from its drafter, the smaller model that
                            would draft for it.
                        </p>
                    )}
                </>
            )}
        </aside>
    );
}

interface Properties {
    readonly token: TokenReport;
    /** The member that answers alone. */
    readonly by: string | undefined;
    readonly recipe: string;
}

function Details({ token, by, recipe }: Properties) {
    return (
        <>
            <header>
                <h2>
                    <code>{spell(token.token)}</code> <span class="muted">{percent(token.logprob)}</span>
                </h2>
                <button type="button" class="quiet" aria-label="Close token" onClick={() => inspect(undefined)}>
                    ×
                </button>
            </header>
            {token.drafter !== undefined && <Decision drafter={token.drafter} recipe={recipe} />}
            <Wishes token={token} by={by} />
        </>
    );
}
