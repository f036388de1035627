export function pack(folder: string, archive: string, date?: string): void;
