//! Published methods, one file each: what makes them here, what was compared with whose code, and what differs.
//!
//! `docs/methods.md` and `docs/audit.md` are made from these tables, and the golden test fails where an error is larger
//! than they say.

mod action_clip;
mod aim;
mod clip;
mod clip_fsar;
mod clip_spm;
mod d2st;
mod emp_net;
mod findings;
mod hyrsm;
mod hyrsm_plus_plus;
mod lora;
mod ma_clip;
mod matching;
mod molo;
mod otam;
mod soap;
mod st_adapter;
mod strm;
mod task_adapter;
mod task_adapter_plus_plus;
mod trx;
mod ts_fsar;
