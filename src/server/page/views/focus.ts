/** Where the focus goes when what had it is no longer there. */

/** Not where it would bring up a keyboard on the screen. */
const HAS_KEYBOARD = matchMedia("(hover: hover)");

export function catchFocus(element: HTMLElement | null, isText = false): void {
    if (document.activeElement !== document.body || (isText && !HAS_KEYBOARD.matches)) return;
    element?.focus({ preventScroll: true });
}
