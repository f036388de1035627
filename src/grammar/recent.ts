/** What has been made lately, for those who ask for the same again. */

export interface Recent<Value> {
    get(key: string): Value | undefined;
    /** @param size - about how much memory key and value take, in characters; what is too large is not kept */
    set(key: string, value: Value, size: number): void;
}

/**
 * Keeps what was asked for last. Values are shared by all who get them, so nobody may change them.
 *
 * @param mostValues - how many are kept
 * @param mostSize - the sizes of all that are kept together
 */
export function createRecent<Value>(mostValues: number, mostSize: number): Recent<Value> {
    // A map remembers the order in which keys were set: the first is the one that was asked for longest ago.
    const kept = new Map<string, { readonly value: Value; readonly size: number }>();
    let total = 0;

    function remove(key: string): void {
        total -= kept.get(key)?.size ?? 0;
        kept.delete(key);
    }

    return {
        get(key) {
            const found = kept.get(key);
            if (found === undefined) return undefined;
            kept.delete(key);
            kept.set(key, found);
            return found.value;
        },
        set(key, value, size) {
            remove(key);
            if (size > mostSize) return;
            kept.set(key, { value, size });
            total += size;
            for (const oldest of kept.keys()) {
                if (kept.size <= mostValues && total <= mostSize) break;
                remove(oldest);
            }
        },
    };
}
