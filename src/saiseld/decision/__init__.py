"""From candidates to submitted masks: reranking, selection, emission, guarantees."""
