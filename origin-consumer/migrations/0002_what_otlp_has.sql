-- What OTLP has of a span and the first version did not keep. Metadata only: parts that are there answer with zeros, and with
-- arrays as long as those of the columns beside them.
ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS `Events.DroppedAttributesCount` Array(UInt32) CODEC(ZSTD(1)) AFTER `Events.Attributes`,
    ADD COLUMN IF NOT EXISTS `Links.DroppedAttributesCount` Array(UInt32) CODEC(ZSTD(1)) AFTER `Links.Attributes`,
    ADD COLUMN IF NOT EXISTS `Links.Flags` Array(UInt32) CODEC(ZSTD(1)) AFTER `Links.DroppedAttributesCount`,
    ADD COLUMN IF NOT EXISTS ResourceDroppedAttributesCount UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ScopeDroppedAttributesCount UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ResourceEntityRefs LowCardinality(String)
        COMMENT 'JSON array in OTLP''s JSON form, empty where there are none' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS Repairs Array(LowCardinality(String))
        COMMENT 'stable codes of what was repaired before the span was stored' CODEC(ZSTD(1));

ALTER TABLE otel_traces
    COMMENT COLUMN IF EXISTS RowNo 'the position of the span in the request as sent, from 0; of objects of the first version: among the valid ones';
