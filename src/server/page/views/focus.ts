/** Where the focus goes when what had it is no longer there. */

/** Where text that is focused would bring up a keyboard on the screen. */
const IS_TOUCHED = matchMedia("(pointer: coarse)");

export function catchFocus(element: HTMLElement | null, isText = false): void {
    if (document.activeElement !== document.body || (isText && IS_TOUCHED.matches)) return;
    element?.focus({ preventScroll: true });
}
