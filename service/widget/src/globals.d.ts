declare const WORDS_VERSION: string;
