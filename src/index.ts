/**
 * Emulated fine-tuning on llama.cpp. In the order of the data flow: read a recipe, load it, complete or score text.
 *
 * @packageDocumentation
 */

// First: in a bundle, it says what is wrong before others' packages fail for the same reason and do not say it.
import "./package.js";
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
export { createHost, loadEnsemble, type Host } from "./ensemble/host.js";
export type { Ensemble } from "./ensemble/ensemble.js";
export type { CountOptions, Tokenizer } from "./ensemble/tokenizer.js";
export type { HostOptions, LoadOptions, RecipeOptions } from "./ensemble/options.js";
export type { HostCounts } from "./host/statistics.js";
export {
    downloadModels,
    planDownload,
    type DownloadOptions,
    type DownloadPlan,
    type DownloadPlanOptions,
    type ModelDownload,
} from "./models/download.js";
export { listModels, removeModels, type StoredModel } from "./models/model-store.js";
export { findModel, isRemote, missingModels, modelFolder } from "./models/model-files.js";
export { readGguf, type GgufSummary } from "./models/gguf.js";
export { readVocabularies, recommendControlTokens } from "./prompts/vocabularies.js";
export {
    CACHE_TYPES,
    memoryRoom,
    planMemory,
    type MemberMemory,
    type MemoryOptions,
    type MemoryPlan,
    type MemoryRoom,
} from "./models/memory-plan.js";
export type { MemoryShare } from "./models/context-memory.js";
export { chooseBackend } from "./native/backend.js";
export type { Member } from "./ensemble/members.js";
export type { ChatMessage, TextPart } from "./prompts/messages.js";
export type { PromptRenderer } from "./prompts/prompt.js";
export {
    describeDifference,
    type Agreement,
    type DisputedToken,
    type MemberVocabulary,
    type VocabularyDifference,
    type VocabularyReport,
} from "./models/vocabulary.js";

export { collect, complete } from "./decoding/complete.js";
export type {
    Completion,
    CompletionOptions,
    CompletionPart,
    CompletionResult,
    CompletionTimings,
    DrafterView,
    FinishPart,
    FinishReason,
    TextBytes,
    TextSource,
    ThinkingPart,
    TokenPart,
    TokenUsage,
    ToolCallPart,
    TopToken,
} from "./decoding/completion.js";
export type { Tool, ToolCall, ToolChoice } from "./tools/types.js";
export { tokenText } from "./decoding/token-text.js";
export type { JsonSchema, SchemaSource } from "./grammar/schema-source.js";
export type { UnenforcedKeyword } from "./grammar/schema-report.js";
export type { SpeculationOptions } from "./decoding/drafter.js";
export type { Proposer } from "./decoding/lookup.js";
export type { SpeculationStatistics } from "./host/statistics.js";
export { DEFAULT_SAMPLING, type LogitBias } from "./decoding/sampling.js";

export { createChat } from "./chat/session.js";
export { loadChat, parseChat, saveChat } from "./chat/document.js";
export { soloView } from "./chat/solo.js";
export type {
    AnswerOptions,
    ChatDocument,
    ChatOptions,
    ChatSession,
    ChatState,
    ChatTurn,
    ToolResult,
    ToolStep,
} from "./chat/types.js";

export { score, type Score, type ScoreOptions } from "./scoring/score.js";
export type { ScoreItem } from "./scoring/items.js";

export { diagnose } from "./doctor/diagnose.js";
export type { BackendDiagnosis, Diagnosis, FolderDiagnosis, Gpu, Problem } from "./doctor/types.js";
export { checkModels } from "./check/check-models.js";
export type { CheckedPart, CheckedWith, CheckOptions, CheckReport, Measurements } from "./check/types.js";
export type { Finding } from "./ensemble/check.js";

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
