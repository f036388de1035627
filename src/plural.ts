/** `1 token`, `2 tokens`. */
export function plural(number: number, noun: string): string {
    return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
