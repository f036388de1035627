"""Grades answers as the grader `contains` does."""


def process_results(doc, results):
    return {"contains": float(doc["answer"].lower() in results[0].lower())}
