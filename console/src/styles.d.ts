// Style sheets are imported for what they do to the page; the build gathers them in one file.
declare module '*.css';
