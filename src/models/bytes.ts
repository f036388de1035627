/** How amounts of memory are written in messages. */

/** `7.9 GiB`, with three significant digits. */
export function formatBytes(bytes: number): string {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
    const value = bytes / 1024 ** power;
    return `${power === 0 ? value : Number(value.toPrecision(3))} ${units[power]}`;
}
