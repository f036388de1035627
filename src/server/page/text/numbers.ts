/** Numbers as people read them. */

/** In hundredths, without the sign. @param logprob - null: not known, or impossible */
export function hundredths(logprob: number | null | undefined): string {
    if (logprob === null || logprob === undefined) return "–";
    const value = 100 * Math.exp(logprob);
    if (value < 0.1) return "<0.1";
    if (value > 99.9 && value < 100) return ">99.9";
    return value.toFixed(value < 10 || value >= 99 ? 1 : 0).replace(/^100\.0$/, "100");
}

/** @param part - 0..1 */
export function share(part: number): string {
    return `${hundredths(Math.log(part))} %`;
}

export function percent(logprob: number | null | undefined): string {
    return `${hundredths(logprob)} %`;
}

/** A dial's value, without digits that say nothing. */
export function dialText(value: number): string {
    return String(Number(value.toFixed(3)));
}

export function dialsText(dials: Readonly<Record<string, number>>): string {
    return Object.entries(dials)
        .map(([name, value]) => `${name} ${dialText(value)}`)
        .join(", ");
}
