/** String formats, as patterns of the texts that come of each: none that is wrong, though not all that there are. */

const YEAR_DATE =
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|" +
    "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const DATE = "\\d{4}-\\d\\d-\\d\\d";
const CLOCK = "(?:[01]\\d|2[0-3]):[0-5]\\d";
const TIME = `${CLOCK}:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[-+]${CLOCK})`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const GROUP = "[\\da-fA-F]{1,4}";
const IPV6 = [
    `(?:${GROUP}:){7}${GROUP}`,
    `(?:${GROUP}:){1,7}:`,
    ...[1, 2, 3, 4, 5, 6].map((count) => `(?:${GROUP}:){1,${7 - count}}(?::${GROUP}){1,${count}}`),
    `:(?::${GROUP}){1,7}`,
    "::",
].join("|");
const UUID = "[\\da-fA-F]{8}(?:-[\\da-fA-F]{4}){3}-[\\da-fA-F]{12}";
/** No two hyphens in a row, so that nothing is taken for Punycode. */
const LABEL = "[a-zA-Z\\d]+(?:-[a-zA-Z\\d]+)*";
const HOST = `(?:${LABEL}\\.)*[a-zA-Z]{2,}`;
const MARK = "-A-Za-z\\d._~!$&'()*+,;=:@";
const PART = `(?:[${MARK}]|%[\\dA-F]{2})`;
const QUERY = `(?:\\?(?:[${MARK}/?]|%[\\dA-F]{2})*)?(?:#(?:[${MARK}/?]|%[\\dA-F]{2})*)?`;
const URI = `(?:[a-z][a-z\\d+.-]*://(?:${IPV4}|${HOST})(?::[1-9]\\d{0,3})?(?:/${PART}*)*${QUERY}|(?:mailto|news|tel|urn):${PART}+)`;

interface Format {
    readonly pattern: string;
    /** Matches all texts that may be of the format, and others. Default: all texts. */
    readonly wide?: string;
    /** The bounds of lengths that the standards set, in characters. */
    readonly maxLength?: number;
}

/** With those that zod names besides, which it says by a pattern too. */
export const FORMATS: Readonly<Record<string, Format>> = {
    date: { pattern: YEAR_DATE, wide: DATE },
    time: { pattern: TIME, wide: "\\d\\d:[^]+" },
    "date-time": { pattern: `${YEAR_DATE}T${TIME}`, wide: `${DATE}[^\\d][^]+` },
    duration: {
        pattern:
            "P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))?|" +
            "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))",
        wide: "[Pp][^]+",
    },
    uuid: { pattern: UUID, wide: `(?:[uU][rR][nN]:[uU][uU][iI][dD]:)?${UUID}` },
    email: { pattern: `[\\w+-]+(?:\\.[\\w+-]+)*@(?:${LABEL}\\.)+[a-zA-Z]{2,}`, wide: "[^]*@[^]*", maxLength: 64 },
    hostname: { pattern: HOST, wide: "[^\\s:/?#@]*", maxLength: 63 },
    ipv4: { pattern: IPV4, wide: "[\\d.]*" },
    ipv6: { pattern: IPV6, wide: "[^]*:[^]*:[^]*" },
    uri: { pattern: URI, wide: "[a-zA-Z][a-zA-Z\\d+.-]*:[^]*" },
    "uri-reference": { pattern: `${URI}|(?:/${PART}+)+/?${QUERY}|${QUERY}` },
    "json-pointer": { pattern: "(?:/(?:[^~/]|~[01])*)*", wide: "(?:/[^]*)?" },
    "relative-json-pointer": { pattern: "(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)", wide: "\\d[^]*" },
    base64: { pattern: "(?:[\\da-zA-Z+/]{4})*(?:[\\da-zA-Z+/]{2}==|[\\da-zA-Z+/]{3}=)?" },
    base64url: { pattern: "(?:[\\w-]{4})*(?:[\\w-]{2,3})?" },
    cidrv4: { pattern: `${IPV4}/(?:[12]?\\d|3[0-2])` },
    cidrv6: { pattern: `(?:${IPV6})/(?:12[0-8]|1[01]\\d|[1-9]?\\d)` },
    mac: { pattern: "(?:[\\dA-F]{2}:){5}[\\dA-F]{2}" },
    e164: { pattern: "\\+[1-9]\\d{6,14}" },
    hex: { pattern: "[\\da-fA-F]*" },
    cuid: { pattern: "[cC][\\da-z]{6,}" },
    cuid2: { pattern: "[\\da-z]+" },
    ulid: { pattern: "[0-7][\\dA-HJKMNP-TV-Z]{25}" },
    xid: { pattern: "[\\da-v]{20}" },
    ksuid: { pattern: "[A-Za-z\\d]{27}" },
    nanoid: { pattern: "[\\w-]{21}" },
    lowercase: { pattern: "[^A-Z]*" },
    uppercase: { pattern: "[^a-z]*" },
};

/** What zod says by a pattern beside: nothing is left to say. */
export const SAID_BY_PATTERN: readonly string[] = ["regex", "starts_with", "ends_with", "includes"];

/** Patterns of zod that look ahead, or are large, and the format that they belong to: each text that comes of it fits. */
export const FORMAT_OF_PATTERN: ReadonlyMap<string, string> = new Map([
    [
        "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
        "email",
    ],
    [
        "^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$",
        "hostname",
    ],
    [
        "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$",
        "duration",
    ],
]);
