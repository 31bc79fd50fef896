-- Why: there are more tools than a list in a CHECK can keep up with, and a new one must not need a release. Which tools may
-- report usage is data from here on; the columns that hold a tool keep a CHECK of its form. The form is checked with one
-- search for a character that must not be there, because a counted repetition is slow (0012).
-- Meaning of stored rows: unchanged; nothing has to be replayed. Way back: retire what the former list did not have, then
-- the check of 0003 on usage.bucket, as `not valid`; an older server refuses posts and imports of newer tools by itself.
set local lock_timeout = '5s';

create table usage.source (
    name text collate "C" not null,
    title text not null,
    allowed_by text not null,
    allowed_by_user_id uuid,
    allowed_at timestamptz not null default clock_timestamp(),
    retired_at timestamptz,
    constraint source_pkey primary key (name),
    constraint source_name_is_well_formed check (
        octet_length(name) between 1 and 64 and name !~ '^[._-]|[^a-z0-9._-]'
    ),
    constraint source_title_is_short check (char_length(title) between 1 and 100),
    constraint source_allowed_by_is_known check (allowed_by in ('operator', 'command', 'server'))
);
comment on table usage.source is 'The tools that may report usage, and those that might once. Buckets have no foreign key to it, because a hot table pays for one; verify reports what is missing here.';
comment on column usage.source.name is 'What buckets call the tool.';
comment on column usage.source.title is 'What people call the tool.';
comment on column usage.source.allowed_by is 'Who allowed it last: operator by a token, command for the binary on the machine, server for what a release brought.';
comment on column usage.source.allowed_by_user_id is 'The operator; null for commands and releases.';
comment on column usage.source.allowed_at is 'Since when it may report usage.';
comment on column usage.source.retired_at is 'Since when it may no more; null while it may. Its history stays.';

create table usage.source_alias (
    alias text collate "C" not null,
    name text collate "C" not null,
    constraint source_alias_pkey primary key (alias),
    constraint source_alias_name_fkey foreign key (name) references usage.source (name),
    constraint source_alias_is_well_formed check (
        octet_length(alias) between 1 and 64 and alias !~ '^[._-]|[^a-z0-9._-]'
    )
);
create index source_alias_name_idx on usage.source_alias (name);
comment on table usage.source_alias is 'What other products call a tool. Posts take the name only, and a refusal says which one.';
comment on column usage.source_alias.alias is 'The other name. It is the name of no tool.';
comment on column usage.source_alias.name is 'The tool.';

insert into usage.source (name, title, allowed_by) values
    ('9router', '9Router', 'server'),
    ('aider', 'Aider', 'server'),
    ('alma', 'Alma', 'server'),
    ('amp', 'Amp', 'server'),
    ('anthropic-compatible', 'Anthropic-compatible clients', 'server'),
    ('antigravity', 'Antigravity', 'server'),
    ('antigravity-cli', 'Antigravity CLI', 'server'),
    ('anythingllm', 'AnythingLLM', 'server'),
    ('api', 'Direct use of an API', 'server'),
    ('augment', 'Augment', 'server'),
    ('cherrystudio', 'Cherry Studio', 'server'),
    ('claude-code', 'Claude Code', 'server'),
    ('claude-mem', 'claude-mem', 'server'),
    ('claude-science', 'Claude Science', 'server'),
    ('cline', 'Cline', 'server'),
    ('codearts-agent', 'CodeArts Agent', 'server'),
    ('codebuddy', 'CodeBuddy', 'server'),
    ('codebuff', 'Codebuff', 'server'),
    ('codex', 'Codex', 'server'),
    ('cola', 'Cola', 'server'),
    ('commandcode', 'Command Code', 'server'),
    ('copilot', 'GitHub Copilot', 'server'),
    ('craft-agent', 'Craft Agent', 'server'),
    ('crush', 'Crush', 'server'),
    ('cursor', 'Cursor', 'server'),
    ('deepseek', 'DeepSeek', 'server'),
    ('devin-cli', 'Devin CLI', 'server'),
    ('devin-desktop', 'Devin Desktop', 'server'),
    ('dimagent', 'DimAgent', 'server'),
    ('droid', 'Droid', 'server'),
    ('dsh', 'dsh', 'server'),
    ('every-code', 'Every Code', 'server'),
    ('freebuff', 'Freebuff', 'server'),
    ('fx', 'fx', 'server'),
    ('gemini-cli', 'Gemini CLI', 'server'),
    ('gjc', 'gjc', 'server'),
    ('goose', 'Goose', 'server'),
    ('grok', 'Grok', 'server'),
    ('hermes', 'Hermes', 'server'),
    ('hindsight', 'Hindsight', 'server'),
    ('jcode', 'jcode', 'server'),
    ('junie', 'Junie', 'server'),
    ('kilo-cli', 'Kilo CLI', 'server'),
    ('kilo-code', 'Kilo Code', 'server'),
    ('kimchi', 'Kimchi', 'server'),
    ('kimi-code', 'Kimi Code', 'server'),
    ('kiro', 'Kiro', 'server'),
    ('lmstudio', 'LM Studio', 'server'),
    ('mcode', 'mcode', 'server'),
    ('micode', 'micode', 'server'),
    ('mimocode', 'MiMo Code', 'server'),
    ('mux', 'mux', 'server'),
    ('omp', 'omp', 'server'),
    ('openclaw', 'OpenClaw', 'server'),
    ('opencode', 'OpenCode', 'server'),
    ('opencodereview', 'OpenCodeReview', 'server'),
    ('other', 'Any other tool', 'server'),
    ('pi-coding-agent', 'Pi', 'server'),
    ('prime-agent', 'Prime Agent', 'server'),
    ('qoder', 'Qoder', 'server'),
    ('qoder-cn', 'Qoder CN', 'server'),
    ('qwen-code', 'Qwen Code', 'server'),
    ('reasonix', 'Reasonix', 'server'),
    ('roo-code', 'Roo Code', 'server'),
    ('senpi', 'senpi', 'server'),
    ('synthetic', 'Synthetic', 'server'),
    ('trae', 'Trae', 'server'),
    ('trae-cli', 'Trae CLI', 'server'),
    ('trae-cn', 'Trae CN', 'server'),
    ('unsloth', 'Unsloth', 'server'),
    ('warp', 'Warp', 'server'),
    ('workbuddy', 'WorkBuddy', 'server'),
    ('zcode', 'ZCode', 'server'),
    ('zed', 'Zed', 'server');

insert into usage.source_alias (alias, name) values
    ('claude', 'claude-code'),
    ('copilot-cli', 'copilot'),
    ('craft', 'craft-agent'),
    ('devin', 'devin-cli'),
    ('gemini', 'gemini-cli'),
    ('kilo', 'kilo-cli'),
    ('kilocode', 'kilo-code'),
    ('kimi', 'kimi-code'),
    ('mimo', 'mimocode'),
    ('pi', 'pi-coding-agent'),
    ('qwen', 'qwen-code'),
    ('roocode', 'roo-code');

-- After the rows above, which the owner of the tables could not insert otherwise.
alter table usage.source enable row level security, force row level security;
alter table usage.source_alias enable row level security, force row level security;
create policy everyone_reads on usage.source for select to halfhour_api using (true);
create policy worker_handles_all on usage.source to halfhour_worker using (true) with check (true);
create policy everyone_reads on usage.source_alias for select to halfhour_api using (true);
create policy worker_reads_all on usage.source_alias for select to halfhour_worker using (true);
grant select on usage.source, usage.source_alias to halfhour_api;
grant select, insert, update on usage.source to halfhour_worker;
grant select on usage.source_alias to halfhour_worker;

alter table usage.bucket
    drop constraint bucket_source_is_known,
    add constraint bucket_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table usage.pre_image
    add constraint pre_image_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table usage.erasure
    add constraint erasure_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table usage.outbox
    add constraint outbox_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table rollup.daily
    add constraint daily_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table backfill.job
    add constraint job_cursor_source_is_well_formed check (
        octet_length(cursor_source) between 1 and 64 and cursor_source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table backfill.plan_row
    add constraint plan_row_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
alter table backfill.exception
    add constraint exception_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    ) not valid;
comment on column usage.bucket.source is 'The tool, by the name that usage.source has or once had for it.';
