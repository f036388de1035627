/** MB. */
export interface Sizes {
    readonly total: number;
    readonly cuda: number;
    readonly vulkan: number;
    readonly cpu: number;
    readonly rest: number;
}

export declare const HEAD: string;
export declare const INSTALLATIONS: Readonly<Record<string, (folder: string, archive: string) => void>>;
export declare function measure(modules: string): Sizes;
export declare function formatRow(name: string, sizes: Sizes): string;
