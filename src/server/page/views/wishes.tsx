import type { TokenReport } from "../api/types.js";
import { hundredths } from "../text/numbers.js";
import { candidatesOf, findWish, spell } from "../text/tokens.js";

interface Properties {
    readonly token: TokenReport;
    /** The member that answers alone. */
    readonly by: string | undefined;
}

/** What each member wanted: a row for each token, a column for each member. */
export function Wishes({ token, by }: Properties) {
    const candidates = candidatesOf(token);
    const members = Object.keys(token.members ?? {});
    const wishes = new Map(members.map((name) => [name, findWish(candidates, name)?.id]));
    return (
        <div class="wishes" role="region" aria-label="What each model wanted" tabIndex={0}>
            <table>
                <thead>
                    <tr>
                        <th scope="col">token, in %</th>
                        {by === undefined && <th scope="col">EFT</th>}
                        {members.map((name) => (
                            <th key={name} scope="col">
                                {name}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {candidates.map((candidate) => (
                        <tr key={candidate.id} class={candidate.id === token.id ? "drawn" : undefined}>
                            <th scope="row">
                                <code>{spell(candidate.token)}</code>
                            </th>
                            {by === undefined && <td>{hundredths(candidate.logprob)}</td>}
                            {members.map((name) => {
                                const isWish = wishes.get(name) === candidate.id;
                                return (
                                    <td key={name} class={isWish ? "wish" : undefined}>
                                        {hundredths(candidate.members?.[name])}
                                    </td>
                                );
                            })}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}
