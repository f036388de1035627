export function pack(folder: string, archive: string, platform: string): void;
