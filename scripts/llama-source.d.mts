export function llamaRelease(): Promise<string>;
