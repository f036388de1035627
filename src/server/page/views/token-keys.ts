/** From one token to another by keys. */

/** @returns where the key leads from the token at `index`; undefined: nowhere */
export function findNeighbour(tokens: HTMLElement, index: number, key: string): HTMLElement | undefined {
    const all = [...tokens.querySelectorAll<HTMLElement>(".token")];
    switch (key) {
        case "ArrowRight":
            return all[index + 1];
        case "ArrowLeft":
            return all[index - 1];
        case "Home":
            return all[0];
        case "End":
            return all.at(-1);
        case "ArrowDown":
            return onLine(all.slice(index + 1), all[index]);
        case "ArrowUp":
            return onLine(all.slice(0, index).reverse(), all[index]);
        default:
            return undefined;
    }
}

/** The token on the next line that lies nearest below or above. @param candidates - from near to far */
function onLine(candidates: readonly HTMLElement[], from: HTMLElement | undefined): HTMLElement | undefined {
    if (from === undefined) return undefined;
    const { top, left } = from.getBoundingClientRect();
    const places = candidates
        .map((element) => ({ element, box: element.getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0 && Math.abs(box.top - top) > box.height / 2);
    const line = places[0]?.box.top ?? 0;
    const [nearest] = places
        .filter(({ box }) => Math.abs(box.top - line) < box.height / 2)
        .sort((a, b) => Math.abs(a.box.left - left) - Math.abs(b.box.left - left));
    return nearest?.element;
}
