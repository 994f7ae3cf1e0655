module lab.test/csrcheck

go 1.26.0
