mod de;
mod read;
mod resolve;
