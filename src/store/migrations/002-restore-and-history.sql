-- Who asked: decides whether the push is restored and which addresses it may dial. Rows of before get the stricter answer.
ALTER TABLE transponder ADD COLUMN caller TEXT NOT NULL DEFAULT 'publisher' CHECK (caller IN ('rest', 'publisher', 'auto_start'));
CREATE INDEX transponder_created ON transponder (created_at DESC, id);

ALTER TABLE run ADD COLUMN bytes_acknowledged INTEGER NOT NULL DEFAULT 0; -- 0 where the destination sends no acknowledgements
ALTER TABLE run ADD COLUMN cpu_ms INTEGER; -- user and system time, as last looked at
ALTER TABLE run ADD COLUMN max_rss INTEGER; -- bytes, the largest that was seen

ALTER TABLE event ADD COLUMN exit_class TEXT; -- of the run that ended, where one did
