/** Responses that later ones go on from: the latest ones, in memory. */

import type { Item } from "./responses-schema.js";

export interface StoredResponse {
    /** Of whoever asked for it; nobody else sees it. */
    readonly key: string;
    /** All that was said, the answer included, without instructions. */
    readonly items: readonly Item[];
    /** As it was sent. */
    readonly response: object;
}

export interface ResponseStore {
    add(id: string, stored: StoredResponse): void;
    find(id: string, key: string): StoredResponse | undefined;
    /** Those of what was said that have one of these ids, by it. */
    findItems(ids: ReadonlySet<string>, key: string): ReadonlyMap<string, Item>;
    /** @returns whether there was one */
    remove(id: string, key: string): boolean;
}

/**
 * @param most - responses
 * @param mostBytes - of all together, about
 */
export function createResponseStore(most = 1000, mostBytes = 64 * 2 ** 20): ResponseStore {
    /** Oldest first. */
    const stored = new Map<string, StoredResponse & { readonly bytes: number }>();
    let bytes = 0;
    function drop(id: string): void {
        bytes -= stored.get(id)?.bytes ?? 0;
        stored.delete(id);
    }
    const find: ResponseStore["find"] = (id, key) => {
        const found = stored.get(id);
        return found?.key === key ? found : undefined;
    };
    return {
        add(id, entry) {
            const size = 2 * JSON.stringify(entry).length;
            stored.set(id, { ...entry, bytes: size });
            bytes += size;
            for (const [oldest] of stored) {
                if (stored.size <= most && bytes <= mostBytes) break;
                drop(oldest);
            }
        },
        find,
        findItems(ids, key) {
            const found = new Map<string, Item>();
            if (ids.size === 0) return found;
            for (const entry of stored.values()) {
                if (entry.key !== key) continue;
                for (const item of entry.items) {
                    const { id = "" } = item;
                    if (ids.has(id) && !found.has(id)) found.set(id, item);
                }
            }
            return found;
        },
        remove(id, key) {
            if (find(id, key) === undefined) return false;
            drop(id);
            return true;
        },
    };
}
