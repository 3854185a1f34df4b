package main

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// textWidth is how wide the tables and the text below their rows are, unless
// they say otherwise; narrow is what everything readable fits.
const (
	textWidth = 100
	narrow    = 80
)

// cell is one field of a table. text/tabwriter would count the bytes of its
// colour as width, so a table aligns its own.
type cell struct {
	text  string
	style style
}

// row is a line of a table and what is written below it.
type row struct {
	cells []cell
	notes []cell
}

// table is aligned text with a heading.
type table struct {
	head []string
	rows []row
	// width that it should fit; 0: [textWidth].
	width int
}

func (t table) fits() int { return cmp.Or(t.width, textWidth) }

// cells makes a row of plain text.
func cells(text ...string) []cell {
	out := make([]cell, len(text))
	for i, t := range text {
		out[i] = cell{text: t}
	}
	return out
}

// render appends the table to b. The names in the columns of shrink are
// shortened in the middle as far as needed to fit the width, to 8 at least.
func (t table) render(b *strings.Builder, p painter, shrink ...int) {
	widths := t.widths(shrink)
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, dim}
	}
	writeRow(b, p, head, widths)
	for _, r := range t.rows {
		writeRow(b, p, r.cells, widths)
		for _, n := range r.notes {
			writeNote(b, p, n, t.fits())
		}
	}
}

func (t table) widths(shrink []int) []int {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = len(h)
	}
	for _, r := range t.rows {
		for i, c := range r.cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	const least = 8
	for over := total - t.fits(); over > 0; over-- {
		widest := -1
		for _, i := range shrink {
			if widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func writeRow(b *strings.Builder, p painter, cells []cell, widths []int) {
	var line strings.Builder
	pad := 0
	for i, c := range cells {
		text := shorten(c.text, widths[i])
		line.WriteString(strings.Repeat(" ", pad))
		line.WriteString(p.paint(c.style, text))
		pad = widths[i] - utf8.RuneCountInString(text) + 2
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
	b.WriteByte('\n')
}

// shorten cuts the middle of text out so that it fits n characters.
func shorten(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	left := n / 2
	return string(runes[:left]) + "…" + string(runes[len(runes)-(n-left-1):])
}

// writeNote writes text below a row, broken between words.
func writeNote(b *strings.Builder, p painter, note cell, most int) {
	lead := "  └ "
	line, width := lead, utf8.RuneCountInString(lead)
	flush := func() {
		b.WriteString(p.paint(note.style, line))
		b.WriteByte('\n')
		line, width = "   ", 3
	}
	for i, word := range strings.Fields(note.text) {
		n := utf8.RuneCountInString(word)
		if i > 0 && width+1+n > most {
			flush()
		}
		if i > 0 {
			line, width = line+" ", width+1
		}
		line, width = line+word, width+n
	}
	flush()
}
