/** Numbers as people read them. */

/** @param logprob - null: not known, or impossible */
export function percent(logprob: number | null | undefined): string {
    return logprob === null || logprob === undefined ? "–" : share(Math.exp(logprob));
}

export function share(part: number): string {
    const hundredths = 100 * part;
    if (hundredths < 0.1) return "< 0.1 %";
    if (hundredths > 99.9 && hundredths < 100) return "> 99.9 %";
    return `${hundredths < 10 ? hundredths.toFixed(1) : hundredths.toFixed(0)} %`;
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
