package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// textWidth is how wide the text below the rows of a table is at most; narrow is what
// everything readable fits, and what that text gets in a pipe. A table may be as wide
// as the terminal; whole is that of a pipe, where a row is one line, so that programs
// find each field in its column.
const (
	textWidth = 100
	narrow    = 80
	whole     = math.MaxInt32
)

// proseIn is how wide text is beside tables of that width.
func proseIn(width int) int {
	if width == whole {
		return narrow
	}
	return min(width, textWidth)
}

// cell is one field of a table. text/tabwriter would count the bytes of its
// colour as width, so a table aligns its own.
type cell struct {
	text  string
	style style
}

// checksum is the text of a cell, shortened on a terminal, where nobody reads it all.
func (t table) checksum(sum string) string {
	const enough = 12
	if t.width == whole || len(sum) <= enough {
		return orNever(sum)
	}
	return sum[:enough] + "…"
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
	// width that it should fit; 0: [narrow].
	width int
}

func (t table) fits() int { return cmp.Or(t.width, narrow) }

// within is the table for that width.
func (t table) within(width int) table {
	t.width = width
	return t
}

// cells makes a row of plain text.
func cells(text ...string) []cell {
	out := make([]cell, len(text))
	for i, t := range text {
		out[i] = cell{text: t}
	}
	return out
}

// render appends the table to b. Where it does not fit the width, the columns of
// shrink are made narrower, to 8 at least. What does not fit into its column
// then stands on a line of its own: a name is a line above the rest of its row,
// anything else a note below it. Nothing is cut.
func (t table) render(b *strings.Builder, p painter, shrink ...int) {
	widths := t.widths(shrink)
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, dim}
	}
	writeRow(b, p, head, widths)
	for _, r := range t.rows {
		fitting, below := t.fold(r.cells, widths)
		if fitting[0] != r.cells[0] {
			fmt.Fprintf(b, "%s\n", p.paint(r.cells[0].style, r.cells[0].text))
		}
		writeRow(b, p, fitting, widths)
		for _, n := range append(below, r.notes...) {
			writeNote(b, p, n, proseIn(t.fits()))
		}
	}
}

// fold takes out of a row what does not fit into its columns.
func (t table) fold(all []cell, widths []int) (fitting, below []cell) {
	fitting = slices.Clone(all)
	for i, c := range all {
		if utf8.RuneCountInString(c.text) <= widths[i] {
			continue
		}
		fitting[i].text = "↓"
		if i == 0 {
			fitting[i].text = ""
		} else {
			below = append(below, cell{strings.ToLower(t.head[i]) + ": " + c.text, c.style})
		}
	}
	return fitting, below
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
		line.WriteString(strings.Repeat(" ", pad))
		line.WriteString(p.paint(c.style, c.text))
		pad = widths[i] - utf8.RuneCountInString(c.text) + 2
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
	b.WriteByte('\n')
}

// writeNote writes text below a row, broken between words.
func writeNote(b *strings.Builder, p painter, note cell, most int) {
	writeBroken(b, p, note, "  └ ", "    ", most)
}

// writeBroken writes text after lead, and breaks it between words into lines of
// at most so many characters, the later ones after indent. A word that is longer
// gets a line of its own.
func writeBroken(b *strings.Builder, p painter, text cell, lead, indent string, most int) {
	line, width, empty := lead, utf8.RuneCountInString(lead), true
	flush := func() {
		b.WriteString(p.paint(text.style, strings.TrimRight(line, " ")))
		b.WriteByte('\n')
		line, width, empty = indent, utf8.RuneCountInString(indent), true
	}
	for word := range strings.FieldsSeq(text.text) {
		n := utf8.RuneCountInString(word)
		if !empty && width+1+n > most {
			flush()
		}
		if !empty {
			line, width = line+" ", width+1
		}
		line, width, empty = line+word, width+n, false
	}
	flush()
}
