/** How a token is spelled. */

import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { checkInteger } from "../options.js";

/**
 * Text of a token by itself, control tokens spelled out; bytes that are no whole character become U+FFFD.
 *
 * @throws EftError OPTION_INVALID, DISPOSED
 */
export function tokenText(ensemble: Ensemble, token: number): string {
    checkEnsemble("tokenText", ensemble);
    checkInteger("token", token, 0, 2 ** 31 - 1);
    return ensemble.texts.detokenize(Int32Array.of(token), true).toString("utf8");
}
