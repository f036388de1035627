/**
 * Calls `body` with a function that waits for something that can be disposed of, such as an ensemble that is being loaded, and
 * returns it. All of them are disposed of when `body` has ended, also where it has failed.
 */
export async function withDisposables(body) {
    const kept = [];
    try {
        return await body(async (loading) => {
            const disposable = await loading;
            kept.push(disposable);
            return disposable;
        });
    } finally {
        for (const disposable of kept.reverse()) await disposable.dispose();
    }
}
