/**
 * Emulated fine-tuning on llama.cpp. In the order of the data flow: read a recipe, load it, complete or score text.
 *
 * @packageDocumentation
 */

export { EftError, ERROR_CODES, type EftErrorCode } from "./errors.js";
export type * from "./types.js";

export {
    adHocRecipe,
    combinationWeights,
    listRecipes,
    loadRecipe,
    parseRecipe,
    resolveParameters,
    type AdHocModels,
    type BuiltInRecipe,
    type RecipeOrigin,
} from "./recipe/index.js";

export { BACKENDS, type BackendChoice, type BackendName } from "./native/backend.js";
export type { NativeDevice, NativeModel, NativeModelInfo } from "./native/binding.js";
export { loadEnsemble, type Ensemble, type LoadOptions } from "./ensemble/ensemble.js";
export {
    downloadModels,
    planDownload,
    type DownloadOptions,
    type DownloadPlan,
    type DownloadPlanOptions,
    type ModelDownload,
} from "./ensemble/download.js";
export { listModels, removeModels, type StoredModel } from "./ensemble/model-store.js";
export { findModel, isRemote, missingModels, modelFolder } from "./ensemble/model-files.js";
export { readGguf, readVocabularies, recommendControlTokens, type GgufSummary } from "./ensemble/gguf.js";
export {
    CACHE_TYPES,
    memoryRoom,
    planMemory,
    type MemberMemory,
    type MemoryOptions,
    type MemoryPlan,
    type MemoryRoom,
    type MemoryShare,
} from "./ensemble/memory-plan.js";
export { chooseBackend } from "./native/backend.js";
export type { Member } from "./ensemble/members.js";
export type { ChatMessage, TextPart } from "./ensemble/messages.js";
export type { PromptRenderer } from "./ensemble/prompt.js";
export {
    describeDifference,
    type MemberVocabulary,
    type VocabularyDifference,
    type VocabularyReport,
} from "./ensemble/vocabulary.js";

export { collect, complete } from "./decoding/complete.js";
export type {
    Completion,
    CompletionOptions,
    CompletionResult,
    CompletionTimings,
    DrafterView,
    FinishPart,
    FinishReason,
    TokenPart,
} from "./decoding/completion.js";
export { tokenText } from "./decoding/text-stream.js";
export type { JsonSchema } from "./decoding/json-schema.js";
export type { SpeculationOptions } from "./decoding/drafter.js";
export type { Proposer } from "./decoding/lookup.js";
export type { SpeculationStatistics } from "./ensemble/statistics.js";
export { DEFAULT_SAMPLING, type LogitBias } from "./decoding/sampling.js";

export { createChat } from "./chat/session.js";
export { loadChat, parseChat, saveChat } from "./chat/document.js";
export { soloView } from "./chat/solo.js";
export type { AnswerOptions, ChatDocument, ChatOptions, ChatSession, ChatState, ChatTurn } from "./chat/types.js";

export { score, type Score, type ScoreItem, type ScoreOptions } from "./scoring/score.js";

export { evaluate, type Evaluation, type EvaluationOptions, type EvaluationProgress } from "./eval/evaluate.js";
export type { JudgeOptions } from "./eval/judge/index.js";
export type {
    Answer,
    AnsweredWith,
    AnswerSetup,
    Cell,
    Comparison,
    ExperimentReport,
    ExperimentSetup,
    Grade,
    GraderSpec,
    Ingredients,
    JudgeSummary,
    JudgeCriterion,
    ModelFile,
    PlotSpec,
    ProgramInfo,
    Sample,
    Setting,
    SystemSummary,
    TaskSummary,
    TokenView,
    Varying,
    WithoutVerdict,
} from "./eval/types.js";
