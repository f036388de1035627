// Reads JSON schemas, one a line, and writes the grammar that llama.cpp makes of each, as JSON, one a line; null where it
// refuses. See scripts/compare-json-schemas.mjs.

#include "json-schema-to-grammar.h"

#include <exception>
#include <iostream>
#include <string>

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::string result = "null";
        try {
            result = common_json(json_schema_to_grammar(common_json::parse(line), true)).dump_safe();
        } catch (const std::exception & error) {
            std::cerr << error.what() << "\n";
        }
        std::cout << result << "\n";
    }
}
