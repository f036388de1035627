export function llamaRelease(): Promise<string>;
export function withLlamaSource<T>(paths: readonly string[], use: (folder: string) => T | Promise<T>): Promise<T>;
