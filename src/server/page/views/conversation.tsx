import { useEffect, useRef } from "preact/hooks";
import { turns } from "../state/conversation.js";
import { Again } from "./again.js";
import { TurnView } from "./turn.js";

/** Pixels from the end within which the page follows what is written. */
const NEAR = 160;

export function Conversation() {
    const place = useRef<HTMLDivElement>(null);
    useEffect(() => (place.current === null ? undefined : follow(place.current)), []);
    return (
        <div ref={place} class="conversation">
            <h2 class="unseen">Conversation</h2>
            {turns.value.map((turn, index) => (
                <TurnView key={turn.key} turn={turn} isFirst={index === 0} />
            ))}
            <Again />
        </div>
    );
}

/** Keeps the end in sight while the content grows, unless somebody has scrolled away. @returns ends it */
function follow(element: HTMLElement): () => void {
    const main = element.closest("main");
    // By itself where there is room for columns, with the whole page elsewhere.
    const scroller = (): HTMLElement =>
        main !== null && getComputedStyle(main).overflowY === "auto" ? main : document.documentElement;
    let isFollowing = true;
    let last = 0;
    function onScroll(): void {
        const { scrollHeight, clientHeight, scrollTop } = scroller();
        // What has grown since is no reason to stay behind; that somebody has gone up is one.
        if (scrollHeight - clientHeight - scrollTop < NEAR) isFollowing = true;
        else if (scrollTop < last) isFollowing = false;
        last = scrollTop;
    }
    const observer = new ResizeObserver(() => {
        if (isFollowing) scroller().scrollTop = scroller().scrollHeight;
    });
    observer.observe(element);
    document.addEventListener("scroll", onScroll, { passive: true, capture: true });
    return () => {
        observer.disconnect();
        document.removeEventListener("scroll", onScroll, { capture: true });
    };
}
